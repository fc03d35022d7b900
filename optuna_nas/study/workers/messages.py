"""What a worker tells the process that started it, and how."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

__all__ = ["Begun", "Died", "Epoch", "Forward", "Line", "Message", "Ready", "Said"]


class Ready(NamedTuple):
    """It waits for a trial.

    Args:
        ended: Storage id of the trial that it has just run, or None.
    """

    ended: int | None


class Begun(NamedTuple):
    """It has begun a trial.

    Args:
        trial_id: Storage id of the trial.
    """

    trial_id: int


class Epoch(NamedTuple):
    """It has trained an epoch: the arguments of `OnEpoch`."""

    trial: int | None
    epoch: int
    values: Mapping[str, float]


class Said(NamedTuple):
    """It has logged something."""

    record: logging.LogRecord


class Died(NamedTuple):
    """It is no more.

    Args:
        reason: Why.
        error: What it raised, where another worker would raise it too.
    """

    reason: str
    error: Exception | None = None


Message = Ready | Begun | Epoch | Said | Died


class Line:
    """A connection that several threads may send by."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Send a message; what nobody hears any more is dropped."""
        try:
            with self._lock:
                self._connection.send(message)
        except BrokenPipeError:  # it ends when it finds its parent gone
            return

    def receive(self) -> Any:
        """Wait for what the other end sends.

        Raises:
            EOFError: It is gone.
        """
        return self._connection.recv()


class Forward(QueueHandler):
    """Logs where the process that started this one does."""

    def __init__(self, line: Line) -> None:
        # There is no queue: `enqueue`, which alone uses it, is another one here.
        super().__init__(None)  # type: ignore[arg-type]
        self._line = line

    def enqueue(self, record: logging.LogRecord) -> None:
        """Send a record, its text made."""
        self._line.send(Said(record))
