"""Processes for the independent parts of a benchmark."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import optuna

__all__ = ["processes"]


@contextmanager
def processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end at once where something goes wrong or the user has enough.

    So they do when SIGTERM ends this process, where it is its main thread that waits for them.
    """
    context = multiprocessing.get_context("spawn")
    with _raised(), ProcessPoolExecutor(jobs, mp_context=context, initializer=_calm) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


@contextmanager
def _raised() -> Iterator[None]:
    """SIGTERM as an exception, so that nothing is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only there are signals handled
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _calm() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this process ends it
    optuna.logging.set_verbosity(optuna.logging.WARNING)
