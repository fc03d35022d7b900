"""The loop of a run: lost trials first, one after another, a stop where all fail or repeat."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import optuna
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.exceptions import NASError
from optuna_nas.study import lease
from optuna_nas.study.exhaustion import Exhaustion
from optuna_nas.study.failures import StopOnFailures

__all__ = ["Callbacks", "run_trials"]

Callbacks = Iterable[Callable[[optuna.Study, FrozenTrial], None]]

_logger = optuna.logging.get_logger("optuna.nas")  # shown, or not, as Optuna's own lines are


def run_trials(
    study: optuna.Study,
    objective: Callable[[optuna.Trial], list[float]],
    trials: int,
    timeout: float | None,
    callbacks: Callbacks,
    max_failures: int,
    exhaustion: Exhaustion,
) -> None:
    """Run trials of a study in this process.

    Unlike `Study.optimize`, it takes up lost trials, and outlives the loss of a trial's lease.

    Args:
        study: The study.
        objective: Runs a trial and returns its values.
        trials: How many to run.
        timeout: Seconds after which no further trial begins.
        callbacks: Called with the study and each trial that ends.
        max_failures: After more failures of one kind in a row it stops.
        exhaustion: Looks for new networks where the sampler repeats itself, and says when there
            are none.

    Raises:
        SearchStopped: Too many trials in a row failed for the same reason.
    """
    stop = StopOnFailures(max_failures)
    deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
    with _cheap_collection():
        _requeue(study)
        exhaustion.begin(study)
        for _ in range(trials):
            if stop.stopped or exhaustion.said or time.monotonic() > deadline:
                break
            _requeue(study)
            finished = _run_trial(study, objective)
            for callback in callbacks:
                callback(study, finished)
            stop(study, finished)
            exhaustion(study, finished)
    if exhaustion.said:
        _logger.info(f"ended: {exhaustion.said}")
    stop.raise_if_stopped()


def _run_trial(
    study: optuna.Study, objective: Callable[[optuna.Trial], list[float]]
) -> FrozenTrial:
    """Run one trial to its end, whatever that is; only an interrupt goes further up."""
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
def _cheap_collection() -> Iterator[None]:
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
