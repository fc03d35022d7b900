"""Locks that hold between the processes of one host."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from optuna_nas.exceptions import NASError

__all__ = ["file_lock", "host_lock", "lock_path"]

PATIENCE = 10.0

_logger = logging.getLogger(__name__)


def lock_path(name: str) -> Path:
    """The file of a lock that all processes of this host share."""
    return Path(tempfile.gettempdir()) / "optuna-nas" / f"{name}.lock"


def file_lock(path: Path) -> FileLock:
    """The lock of such a file, which every user of the host may take, and remove."""
    if not path.parent.exists():
        path.parent.mkdir(exist_ok=True)
        path.parent.chmod(0o777)
    return FileLock(path, mode=0o666, poll_interval=0.005)


@contextmanager
def host_lock(name: str, timeout: float) -> Iterator[None]:
    """Hold a lock that one process on this host can hold at a time.

    It is released when its holder dies, however that happens. Whoever waits for it stands in a
    queue, a lock of its own, so that a process which takes it again and again lets others in.

    Args:
        name: What it guards.
        timeout: Seconds to wait for it; after the first ten, a warning says so.

    Raises:
        NASError: Other processes did not give it back in time.
    """
    deadline = time.monotonic() + timeout
    with ExitStack() as held:
        with ExitStack() as queue:
            _take(f"{name}-queue", deadline, queue)
            _take(name, deadline, held)
        yield


def _take(name: str, deadline: float, stack: ExitStack) -> None:
    path = lock_path(name)
    lock = file_lock(path)
    for wait in (PATIENCE, float("inf")):
        left = max(deadline - time.monotonic(), 0.0)
        try:
            stack.enter_context(lock.acquire(timeout=min(wait, left)))
            return
        except Timeout:
            if left > wait:
                _logger.warning(f"waiting for another process that holds {path}")
    raise NASError(
        f"expected {path} to be free in time, but another process holds it; "
        f"see which with `fuser {path}`, and end it if it hangs"
    )
