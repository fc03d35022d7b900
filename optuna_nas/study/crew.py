"""The trials of a run in several processes of this host."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

import cloudpickle
import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from optuna_nas.exceptions import DescriptionError, SearchStopped
from optuna_nas.study.loop import Ended, Permits
from optuna_nas.study.messages import Died, Epoch, Message, Ready, Said
from optuna_nas.study.opening import in_memory
from optuna_nas.study.workers import Workers

if TYPE_CHECKING:
    from optuna_nas.study.search import Search
    from optuna_nas.study.training import OnEpoch

__all__ = ["in_processes"]

PATIENCE = 30.0
"""Seconds that a worker has to note that its trial was interrupted."""

_logger = logging.getLogger(__name__)


def in_processes(search: Search, workers: Workers, on_epoch: OnEpoch | None) -> Ended:
    """Runs trials in processes of their own, which take them one by one.

    A process that dies is replaced, and its trial is taken up again. When more die in a row than
    the search bears failures, and no trial ends between, the search stops.

    Args:
        search: The search; it is pickled, with what the user's script defines of it.
        workers: How many, and what each may use.
        on_epoch: As in `Search.run`.
    """

    def ended(study: optuna.Study, permits: Permits) -> Generator[FrozenTrial, None, None]:
        start = partial(_Process, packed(search, study._storage))
        crew = _Crew(start, search.max_failures, permits, on_epoch)
        try:
            crew.start(workers.environments(search.trainer, search.threads))
            for number in crew.run():
                yield study._storage.get_trial(number)
        finally:
            crew.end()

    return ended


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


class _Crew:
    """The workers of a run."""

    def __init__(
        self,
        start: partial[_Process],
        max_deaths: int,
        permits: Permits,
        on_epoch: OnEpoch | None,
    ) -> None:
        self._start = start
        self._max_deaths = max_deaths
        self._permits = permits
        self._on_epoch = on_epoch
        self._workers: list[_Process] = []
        self._deaths = 0

    def start(self, environments: list[dict[str, str]]) -> None:
        """Start a worker in each of these environments."""
        for environment in environments:
            self._workers.append(self._start(environment))

    def run(self) -> Iterator[int]:
        """Yield the storage id of each trial that has ended, until none may begin any more."""
        while self._workers:
            heard = wait([worker.connection for worker in self._workers])
            for worker in [w for w in self._workers if w.connection in heard]:
                message = worker.hear()
                if isinstance(message, Ready):
                    if message.ended is not None:
                        self._deaths = 0
                        yield message.ended
                    self._occupy(worker)
                else:
                    self._see_to(worker, message)

    def end(self) -> None:
        """End all: what they are at is interrupted."""
        for worker in self._workers:
            worker.interrupt()
        deadline = time.monotonic() + PATIENCE
        while self._workers:
            self._workers.pop().end(deadline)

    def _occupy(self, worker: _Process) -> None:
        worker.busy = self._permits.take()
        worker.go_on(worker.busy)
        if not worker.busy:
            self._workers.remove(worker)
            worker.end(time.monotonic() + PATIENCE)

    def _see_to(self, worker: _Process, message: Message) -> None:
        if isinstance(message, Said):
            logging.getLogger(message.record.name).handle(message.record)
        elif isinstance(message, Epoch) and self._on_epoch is not None:
            self._on_epoch(*message)
        elif isinstance(message, Died):
            self._replace(worker, message)

    def _replace(self, worker: _Process, death: Died) -> None:
        self._workers.remove(worker)
        worker.end(time.monotonic())
        self._deaths += 1
        if worker.busy:
            self._permits.give_back()
        if death.error is not None:
            raise death.error
        if self._deaths > self._max_deaths:
            raise SearchStopped(
                f"stopped after {self._deaths} workers died in a row, between which no trial "
                f"ended; the last: {death.reason}"
            )
        _logger.warning(f"a worker died: {death.reason}")
        if self._permits.open:
            self.start([worker.environment])


class _Process:
    """A worker in a process of this host, as `study.worker` describes it.

    Attributes:
        connection: The line to it.
        environment: What it was given of the machine.
        busy: Whether it was told to run a trial.
    """

    def __init__(self, packed: bytes, environment: dict[str, str]) -> None:
        self.environment = environment
        self.busy = False
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "optuna_nas.study.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **environment},
            )
        self.connection = Connection(ours.detach())
        levels = logging.getLogger().level, optuna.logging.get_verbosity()
        with suppress(OSError):  # it died at once: hear() tells
            self.connection.send((sys.path, levels))
            self.connection.send_bytes(packed)

    def hear(self) -> Message:
        """What it says; that it died, if it did."""
        try:
            message: Message = self.connection.recv()
            return message
        except (EOFError, OSError):
            return Died(f"process {self._process.pid} ended {_ending(self._process.wait())}")

    def go_on(self, with_a_trial: bool) -> None:
        """Have it run a trial, or end."""
        with suppress(OSError):  # it died: hear() tells
            self.connection.send(with_a_trial)

    def interrupt(self) -> None:
        """Have it end what it is at."""
        self._process.terminate()

    def end(self, deadline: float) -> None:
        """Wait for its end; not for ever."""
        try:
            self._process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.connection.close()


def _ending(code: int) -> str:
    names: Mapping[int, str] = {-known: known.name for known in signal.Signals}
    return f"by {names.get(code, -code)}" if code < 0 else f"with exit code {code}"
