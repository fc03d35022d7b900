"""A worker as the process that started it sees it."""

from __future__ import annotations

import abc
import logging
import socket
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import cloudpickle
import optuna

from optuna_nas.exceptions import DescriptionError
from optuna_nas.study.storages.opening import in_memory
from optuna_nas.study.workers.messages import Died, Message

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from optuna_nas.study.search import Search

__all__ = ["WorkerProcess", "packed"]


def packed(search: Search, storage: BaseStorage) -> bytes:
    """A search and the storage of its study, for another process.

    Raises:
        DescriptionError: They cannot be had in another process.
    """
    if in_memory(storage):
        raise DescriptionError(
            "expected a storage that several workers can open, got one in memory; "
            'give a file or a server, such as storage="sqlite:///study.db"'
        )
    # Computed here: a worker has no source of what a script defines.
    _ = search.description, search.training_description
    try:
        return bytes(cloudpickle.dumps((search, storage)))
    except Exception as error:
        raise DescriptionError(
            "expected a search that can be pickled, to be run in processes of their own, got "
            f"{type(error).__name__}: {error}"
        ) from error


class WorkerProcess(abc.ABC):
    """A worker, as `workers.worker` describes it.

    Args:
        number: Which of the workers of a run it is.

    Attributes:
        connection: What is heard of it.
        busy: Whether it was told to run a trial.
        trial_id: Storage id of the trial that it runs, once it has said so.
        began: When (monotonic) it said so.
    """

    connection: Connection | socket.socket

    def __init__(self, number: int) -> None:
        self.number = number
        self.busy = False
        self.trial_id: int | None = None
        self.began = 0.0

    def greet(self, connection: Connection, search: bytes) -> None:
        """Send it what it needs to begin."""
        self.connection = connection
        levels = logging.getLogger().level, optuna.logging.get_verbosity()
        with suppress(OSError):  # it died at once: hear() tells
            connection.send((sys.path, levels))
            connection.send_bytes(search)

    def hear(self) -> Message | None:
        """What it says; that it died, if it did."""
        try:
            assert isinstance(self.connection, Connection)
            message: Message = self.connection.recv()
            return message
        except (EOFError, OSError):
            return Died(self.death())

    def go_on(self, with_a_trial: bool) -> None:
        """Have it run a trial, or end."""
        assert isinstance(self.connection, Connection)
        with suppress(OSError):  # it died: hear() tells
            self.connection.send(with_a_trial)

    def failed(self) -> bool:
        """Whether it ended before it could be heard."""
        return False

    @abc.abstractmethod
    def death(self) -> str:
        """Wait for its end, and say how it ended."""

    @abc.abstractmethod
    def interrupt(self) -> None:
        """Have it end what it is at."""

    @abc.abstractmethod
    def end(self, deadline: float) -> None:
        """Wait for its end; not for ever.

        Args:
            deadline: When it is killed, by `time.monotonic`.
        """
