"""The loop of a run: lost trials first, then new ones; a stop where all fail or repeat."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager

import optuna
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.exceptions import NASError
from optuna_nas.study import lease
from optuna_nas.study.exhaustion import Exhaustion
from optuna_nas.study.failures import StopOnFailures

__all__ = [
    "Callbacks",
    "Ended",
    "Permits",
    "begun",
    "cheap_collection",
    "in_turn",
    "run_trial",
    "run_trials",
]

Callbacks = Iterable[Callable[[optuna.Study, FrozenTrial], None]]

_logger = optuna.logging.get_logger("optuna.nas")  # shown, or not, as Optuna's own lines are


class Permits:
    """Says whether one more trial may begin.

    Args:
        trials: How many may in all.
        timeout: Seconds after which none does.
        stopped: Whether there is a reason to begin no more.
    """

    def __init__(
        self, trials: int, timeout: float | None, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self._left = trials
        self._deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        self._stopped = stopped

    @property
    def open(self) -> bool:
        """Whether another trial may begin."""
        return self._left > 0 and time.monotonic() <= self._deadline and not self._stopped()

    def take(self) -> bool:
        """Whether another trial may begin; it is counted if so."""
        allowed = self.open
        self._left -= allowed
        return allowed

    def give_back(self) -> None:
        """A trial that began will not end."""
        self._left += 1


Ended = Callable[[optuna.Study, Permits], Generator[FrozenTrial, None, None]]
"""Runs as many trials of a study as are permitted; yields each as it has ended."""


def run_trials(
    study: optuna.Study,
    ended: Ended,
    trials: int,
    timeout: float | None,
    until: int | None,
    callbacks: Callbacks,
    max_failures: int,
    exhaustion: Exhaustion,
) -> None:
    """Run trials of a study.

    Unlike `Study.optimize`, it takes up lost trials, and outlives the loss of a trial's lease.

    Args:
        study: The study.
        ended: Runs trials: `in_turn` in this process, or in several.
        trials: How many to run.
        timeout: Seconds after which no further trial begins.
        until: Trials of the study, those of all workers on it, after which none begins here.
        callbacks: Called with the study and each trial that ends.
        max_failures: After more failures of one kind in a row it stops.
        exhaustion: Looks for new networks where the sampler repeats itself, and says when there
            are none.

    Raises:
        SearchStopped: Too many trials in a row failed for the same reason.
    """
    stop = StopOnFailures(max_failures)

    def stopped() -> bool:
        enough = until is not None and begun(study) >= until
        return enough or stop.stopped or bool(exhaustion.said)

    permits = Permits(trials, timeout, stopped)
    _requeue(study)
    exhaustion.begin(study)
    with closing(ended(study, permits)) as trials_ended:
        for finished in trials_ended:
            for callback in callbacks:
                callback(study, finished)
            stop(study, finished)
            exhaustion(study, finished)
    if exhaustion.said:
        _logger.info(f"ended: {exhaustion.said}")
    stop.raise_if_stopped()


def in_turn(objective: Callable[[optuna.Trial], list[float]]) -> Ended:
    """Runs trials in this process, one after another.

    Args:
        objective: Runs a trial and returns its values.
    """

    def ended(study: optuna.Study, permits: Permits) -> Generator[FrozenTrial, None, None]:
        with cheap_collection():
            while permits.take():
                yield run_trial(study, objective)

    return ended


def begun(study: optuna.Study) -> int:
    """How many trials of a study have ended, or run; not those that are to be taken up again."""
    outcomes = {"lost", "interrupted"}
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)
    trials = study.get_trials(deepcopy=False, states=states)
    return sum(trial.user_attrs.get("outcome") not in outcomes for trial in trials)


def run_trial(
    study: optuna.Study, objective: Callable[[optuna.Trial], list[float]]
) -> FrozenTrial:
    """Run one trial to its end, whatever that is; only an interrupt goes further up."""
    _requeue(study)
    trial = study.ask()
    values, state = None, TrialState.FAIL
    try:
        values, state = objective(trial), TrialState.COMPLETE
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    except Exception as error:
        _logger.warning(f"trial {trial.number} failed: {error}", exc_info=True)
    finally:  # another worker may have given up a trial whose lease was not renewed in time
        study.tell(trial, values, state, skip_if_finished=True)
    gc.collect()  # a trainer and its module refer to each other
    finished = study._storage.get_trial(trial._trial_id)
    _logger.info(f"trial {trial.number}: {finished.user_attrs.get('ended')}; {values}")
    return finished


@contextmanager
def cheap_collection() -> Iterator[None]:
    """Leave what is in memory already out of garbage collections, one of which ends each trial."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _requeue(study: optuna.Study) -> None:
    try:
        lease.requeue(study)
    except NASError as error:  # the next trial will do as well
        _logger.warning(f"could not look for lost trials: {error}")
