"""Workers in processes of this host."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import psutil

from optuna_nas.processes import command
from optuna_nas.study.workers.messages import Died, Message
from optuna_nas.study.workers.process import WorkerProcess, packed

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from optuna_nas.study.search import Search
    from optuna_nas.study.workers import Workers

__all__ = ["launch"]

ENDING_SECONDS = 10.0
"""How long a worker that says no more may take to end, before it is killed."""


@contextmanager
def launch(
    search: Search, workers: Workers, storage: BaseStorage
) -> Iterator[Callable[[int], WorkerProcess]]:
    """Start workers as processes of this host; yields what starts one."""
    environments = workers.environments(search.trainer, search.threads)
    payload = packed(search, storage)
    yield lambda number: LocalProcess(number, payload, environments[number])


class LocalProcess(WorkerProcess):
    """A worker in a process of this host.

    Args:
        number: Which of the workers it is.
        search: The search, packed.
        environment: Variables that it has beside those of this process.
    """

    connection: Connection

    def __init__(self, number: int, search: bytes, environment: Mapping[str, str]) -> None:
        super().__init__(number)
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                command("optuna_nas.study.workers.worker", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **environment},
            )
        self.greet(Connection(ours.detach()), search)

    def hear(self) -> Message | None:
        # The end of what it says does not come while a process that it forked lives on.
        if self.failed() and not self.connection.poll():
            return Died(self.death())
        return super().hear()

    def failed(self) -> bool:
        return self._process.poll() is not None

    def death(self) -> str:
        try:
            code = self._process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
            code = self._process.wait()
        names = {-known: known.name for known in signal.Signals}
        ending = f"by {names.get(code, -code)}" if code < 0 else f"with exit code {code}"
        return f"process {self._process.pid} ended {ending}"

    def interrupt(self) -> None:
        self._process.terminate()

    def end(self, deadline: float) -> None:
        try:
            self._process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._kill()
            self._process.wait()
        self.connection.close()

    def _kill(self) -> None:
        """Kill it, and what it has forked: loaders that hang would outlive it."""
        forked = []
        with suppress(psutil.NoSuchProcess):
            forked = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        for process in forked:
            with suppress(psutil.NoSuchProcess):
                process.kill()
