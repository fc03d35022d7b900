"""The trials of a run in several processes, of this host or of a cluster."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

import optuna
from optuna.trial import FrozenTrial

from optuna_nas.exceptions import SearchStopped
from optuna_nas.study.lease import give_up
from optuna_nas.study.loop import Ended, Permits
from optuna_nas.study.workers import Workers
from optuna_nas.study.workers.messages import Begun, Died, Epoch, Message, Ready, Said
from optuna_nas.study.workers.process import WorkerProcess

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from optuna_nas.study.search import Search
    from optuna_nas.study.training import OnEpoch

__all__ = ["Crew", "in_processes"]

PATIENCE = 30.0
"""Seconds that a worker has to note that its trial was interrupted."""

GRACE = 30.0
"""Seconds that a worker has to end a trial that took too long, before it is ended itself."""

HUNG = (
    "TrainingError: expected the trial to take at most {:g} s, but it went on in code that "
    "nothing interrupts; its process was ended"
)

LOOK_SECONDS = 1.0
"""How often it is seen whether a worker failed that has not said a word."""

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
        with launcher(search, workers, study._storage) as start:
            crew = Crew(start, search.max_failures, permits, on_epoch, search.time_limit)
            try:
                for number in range(workers.count):
                    crew.start(number)
                for trial_id, reason in crew.run():
                    if reason:
                        give_up(study._storage, trial_id, "failed", reason)
                    yield study._storage.get_trial(trial_id)
            finally:
                crew.end()

    return ended


def launcher(
    search: Search, workers: Workers, storage: BaseStorage
) -> AbstractContextManager[Callable[[int], WorkerProcess]]:
    """What starts a worker, given its number, once it is entered.

    Raises:
        DescriptionError: It is not installed, or this machine is not for so many workers.
    """
    if workers.launcher == "ray":
        from optuna_nas.study.workers.on_ray import launch
    else:
        from optuna_nas.study.workers.local import launch
    return launch(search, workers, storage)


class Crew:
    """The workers of a run.

    Args:
        start: Starts one, given its number.
        max_deaths: How many may die in a row, while no trial ends.
        permits: Say whether a trial may begin.
        on_epoch: As in `Search.run`.
        time_limit: Seconds that a trial may take; `GRACE` more, and its worker is ended.
    """

    def __init__(
        self,
        start: Callable[[int], WorkerProcess],
        max_deaths: int,
        permits: Permits,
        on_epoch: OnEpoch | None,
        time_limit: float | None = None,
    ) -> None:
        self._start = start
        self._max_deaths = max_deaths
        self._permits = permits
        self._on_epoch = on_epoch
        self._limit = float("inf") if time_limit is None else time_limit
        self._workers: list[WorkerProcess] = []
        self._deaths = 0

    def start(self, number: int) -> None:
        """Start a worker."""
        self._workers.append(self._start(number))

    def run(self) -> Iterator[tuple[int, str]]:
        """Run trials until none may begin any more.

        Yields:
            The storage id of each that has ended, and why its worker was ended, if it was: then
            the trial runs still, by what is in storage.
        """
        while self._workers:
            heard = wait([worker.connection for worker in self._workers], LOOK_SECONDS)
            for worker in [w for w in self._workers if w.connection in heard or w.failed()]:
                message = worker.hear()
                if isinstance(message, Ready):
                    worker.trial_id = None
                    if message.ended is not None:
                        self._deaths = 0
                        yield message.ended, ""
                    self._occupy(worker)
                else:
                    self._see_to(worker, message)
            for worker in [w for w in self._workers if self._hangs(w)]:
                self._workers.remove(worker)
                worker.end(time.monotonic())
                yield worker.trial_id or 0, HUNG.format(self._limit)
                self._start_another(worker)

    def end(self) -> None:
        """End all: what they are at is interrupted."""
        for worker in self._workers:
            worker.interrupt()
        deadline = time.monotonic() + PATIENCE
        while self._workers:
            self._workers.pop().end(deadline)

    def _occupy(self, worker: WorkerProcess) -> None:
        worker.busy = self._permits.take()
        worker.go_on(worker.busy)
        if not worker.busy:
            self._workers.remove(worker)
            worker.end(time.monotonic() + PATIENCE)

    def _see_to(self, worker: WorkerProcess, message: Message | None) -> None:
        if isinstance(message, Said):
            logging.getLogger(message.record.name).handle(message.record)
        elif isinstance(message, Begun):
            worker.trial_id, worker.began = message.trial_id, time.monotonic()
        elif isinstance(message, Epoch) and self._on_epoch is not None:
            self._on_epoch(*message)
        elif isinstance(message, Died):
            self._replace(worker, message)

    def _replace(self, worker: WorkerProcess, death: Died) -> None:
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
        self._start_another(worker)

    def _hangs(self, worker: WorkerProcess) -> bool:
        """Whether its trial goes on long after its own process should have ended it."""
        overdue = time.monotonic() - worker.began > self._limit + GRACE
        return worker.trial_id is not None and overdue

    def _start_another(self, worker: WorkerProcess) -> None:
        if self._permits.open:
            self.start(worker.number)
