"""Ctrl-C and SIGTERM, so that they find no storage half written."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable
from types import FrameType

from optuna_nas.study.storages import patience
from optuna_nas.study.storages.frames import in_storage

__all__ = ["Interrupts"]


class Interrupts:
    """Signals as KeyboardInterrupt, once no storage is being read or written.

    In processes that this one forks, SIGTERM ends them as usual, even in the midst of C code.

    Args:
        numbers: The signals.
    """

    def __init__(
        self, numbers: Iterable[signal.Signals] = (signal.SIGINT, signal.SIGTERM)
    ) -> None:
        self.caught = False
        for number in numbers:
            signal.signal(number, self._raise)

    def check(self, *_: object) -> None:
        """Raise what was lost: Python drops an exception raised while it runs a finaliser."""
        if self.caught:
            raise KeyboardInterrupt

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.caught = patience.interrupted = True
        if in_storage(frame):
            threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
            return
        raise KeyboardInterrupt


def _after_fork() -> None:
    """Undo, in a forked process, what `Interrupts` did to SIGTERM."""
    if isinstance(getattr(signal.getsignal(signal.SIGTERM), "__self__", None), Interrupts):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
