"""Whose turn it is on a host: our trainings pause while one of us measures.

A measurement announces itself by a file, and each training holds a lock of its own while it
computes. At its next batch a training that sees the announcement gives its lock back and waits
until the measurement is over. Whoever dies gives its locks back, and every wait has an end.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from optuna_nas.locks import host_lock, lock_path

__all__ = ["Training", "measuring"]

MEASURING = "measuring"
ANNOUNCED = lock_path("measuring-announced").with_suffix(".now")
QUEUE_SECONDS = 600.0
"""How long a measurement waits for the others on the host."""
PAUSE_SECONDS = 10.0
"""How long a measurement waits for the trainings to reach the end of their batch."""
POLL_SECONDS = 0.005
WAIT_SECONDS = 120.0
"""How long a training waits for measurements before it goes on beside them."""

_logger = logging.getLogger(__name__)


@contextmanager
def measuring() -> Iterator[bool]:
    """Measure alone: one measurement at a time on a host, and our trainings pause.

    Yields:
        Whether every training on the host has paused in time.

    Raises:
        NASError: Other measurements took too long.
    """
    with host_lock(MEASURING, QUEUE_SECONDS):
        ANNOUNCED.touch()
        try:
            yield _paused(time.monotonic() + PAUSE_SECONDS)
        finally:
            ANNOUNCED.unlink(missing_ok=True)


class Training:
    """A training of this process, which gives way to measurements.

    Use it as a context for as long as the training lasts, and call `give_way` between batches.
    """

    def __init__(self) -> None:
        self._lock = FileLock(lock_path(f"training-{os.getpid()}-{id(self):x}"), mode=0o666)

    def __enter__(self) -> Training:
        self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)

    def give_way(self) -> None:
        """Pause while a measurement runs on this host; costs microseconds where none does."""
        if not ANNOUNCED.exists():
            return
        self._lock.release()
        try:
            if not _over(time.monotonic() + WAIT_SECONDS):
                _logger.warning(f"trained on beside measurements of over {WAIT_SECONDS:g} s")
        finally:
            self._lock.acquire()


def _over(deadline: float) -> bool:
    """Wait until no measurement is announced; a training never stands in their queue."""
    running = FileLock(lock_path(MEASURING), mode=0o666)
    while ANNOUNCED.exists():
        try:
            with running.acquire(timeout=0):
                ANNOUNCED.unlink(missing_ok=True)  # left behind by a killed measurement
        except Timeout:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
    return True


def _paused(deadline: float) -> bool:
    """Wait until no training computes; locks that a killed one left are removed."""
    trainings = lock_path("training-*")
    for path in trainings.parent.glob(trainings.name):
        lock = FileLock(path, mode=0o666, poll_interval=0.005)
        try:
            with lock.acquire(timeout=max(deadline - time.monotonic(), 0.0)):
                path.unlink(missing_ok=True)
        except Timeout:
            return False
    return True
