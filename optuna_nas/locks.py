"""Locks that hold between the processes of one host."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from optuna_nas.exceptions import NASError

__all__ = ["host_lock"]

PATIENCE = 10.0

_logger = logging.getLogger(__name__)


@contextmanager
def host_lock(name: str, timeout: float) -> Iterator[None]:
    """Hold a lock that one process on this host can hold at a time.

    It is released when its holder dies, however that happens.

    Args:
        name: What it guards.
        timeout: Seconds to wait for it; after the first ten, a warning says so.

    Raises:
        NASError: Another process did not give it back in time.
    """
    path = Path(tempfile.gettempdir()) / f"optuna-nas-{name}.lock"
    lock = FileLock(path, mode=0o666)
    try:
        lock.acquire(timeout=min(PATIENCE, timeout))
    except Timeout:
        _logger.warning(f"waiting for another process that holds {path}")
        try:
            lock.acquire(timeout=max(timeout - PATIENCE, 0.0))
        except Timeout:
            raise NASError(
                f"expected {path} to be free within {timeout:g} s, but another process holds it; "
                f"see which with `fuser {path}`, and end it if it hangs"
            ) from None
    try:
        yield
    finally:
        lock.release()
