"""Whose turn it is on a host: our trainings pause while one of us measures.

A measurement announces itself by a file, and each training holds a lock of its own while it
computes. At its next batch a training that sees the announcement gives its lock back and waits
until the measurement is over. What is loaded to be measured takes its turn too, but pauses no
training. Whoever dies gives its locks back, and every wait has an end.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import Timeout

from optuna_nas.exceptions import MeasurementError, NASError
from optuna_nas.locks import file_lock, host_lock, lock_path

__all__ = ["Training", "measuring", "turn"]

MEASURING = "measuring"
ANNOUNCED = lock_path("measuring-announced").with_suffix(".now")
QUEUE_SECONDS = 1200.0
"""How long a measurement waits for the others on the host."""
PAUSE_SECONDS = 10.0
"""How long a measurement waits for the trainings to reach the end of their batch."""
POLL_SECONDS = 0.005
WAIT_SECONDS = 120.0
"""How long a training waits for measurements before it goes on beside them."""

_logger = logging.getLogger(__name__)


@contextmanager
def turn() -> Iterator[None]:
    """Do what would disturb a measurement: one process at a time on a host, trainings go on.

    Raises:
        MeasurementError: Others took too long.
    """
    with ExitStack() as held:
        try:
            held.enter_context(host_lock(MEASURING, QUEUE_SECONDS))
        except NASError as error:
            raise MeasurementError(str(error)) from None
        yield


@contextmanager
def measuring() -> Iterator[bool]:
    """Measure alone: one measurement at a time on a host, and our trainings pause.

    Yields:
        Whether every training on the host has paused in time.

    Raises:
        MeasurementError: Other measurements took too long.
    """
    with turn():
        ANNOUNCED.unlink(missing_ok=True)  # of a killed measurement, perhaps another user's
        ANNOUNCED.touch()
        try:
            yield _paused(time.monotonic() + PAUSE_SECONDS)
        finally:
            ANNOUNCED.unlink(missing_ok=True)


class Training:
    """A training of this process, which gives way to measurements.

    Use it as a context for as long as the training lasts, and call `give_way` between batches.

    Args:
        finish: Waits for what the training has begun on a GPU.
    """

    def __init__(self, finish: Callable[[], object] = lambda: None) -> None:
        self._lock = file_lock(lock_path(f"training-{os.getpid()}-{id(self):x}"))
        self._finish = finish
        self._ignored: int | None = None

    def __enter__(self) -> Training:
        self._lock.acquire()
        self.give_way()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)

    def give_way(self) -> None:
        """Pause while a measurement runs on this host; costs microseconds where none does."""
        while (announced := _announced()) not in (None, self._ignored):
            self._finish()
            self._lock.release()
            try:
                if not _over(announced, time.monotonic() + WAIT_SECONDS):
                    _logger.warning(f"trains on beside a measurement of over {WAIT_SECONDS:g} s")
                    self._ignored = announced
            finally:
                self._lock.acquire()  # and look again: another one may not have seen the lock


def _announced() -> int | None:
    """When the measurement that runs was announced, or None."""
    try:
        return ANNOUNCED.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _over(announced: int | None, deadline: float) -> bool:
    """Wait until a measurement is over; a training never stands in their queue."""
    running = file_lock(lock_path(MEASURING))
    while _announced() == announced:
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
        try:
            with file_lock(path).acquire(timeout=max(deadline - time.monotonic(), 0.0)):
                path.unlink(missing_ok=True)
        except Timeout:
            return False
    return True
