"""One decision at the rungs of asynchronous successive halving, read from and left in storage.

A rung value is kept under Optuna's own key `completed_rung_<k>`: a number with one objective, a
list with several.

Source: Li et al. 2020, arXiv:1810.05934.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.exceptions import DescriptionError
from optuna_nas.pruners.curve import latest, to_json
from optuna_nas.pruners.lineages import Lineages, completed_rung
from optuna_nas.pruners.standings import Bracket, rivals

__all__ = [
    "Ladder",
    "check_at_least",
    "check_resource",
    "climb",
    "estimate",
]


@dataclass(frozen=True)
class Ladder:
    """The rungs of one bracket: rung k is at `min_resource * reduction_factor ** (rate + k)`."""

    min_resource: int
    reduction_factor: int
    min_early_stopping_rate: int
    bootstrap_count: int

    def step(self, rung: int) -> int:
        """Step at which a rung is completed."""
        power: int = self.reduction_factor ** (self.min_early_stopping_rate + rung)
        return self.min_resource * power


def climb(
    study: optuna.Study,
    trial: FrozenTrial,
    ladder: Ladder,
    lineages: Lineages,
    bracket: Bracket,
) -> bool:
    """Judge a trial at every rung that its last report has reached; True prunes it.

    Args:
        study: The study of the trial.
        trial: The running trial.
        ladder: The rungs that it climbs.
        lineages: The trials of the study.
        bracket: Number of a lineage's first trial -> its bracket.
    """
    reported = latest(trial, len(study.directions))
    if reported is None:
        return False
    step, values = reported
    rung = _next_rung(lineages.inherited(trial))
    while step >= ladder.step(rung):
        if any(math.isnan(value) for value in values):
            return True
        mine = values[0] if len(values) == 1 else to_json(values)
        study._storage.set_trial_system_attr(trial._trial_id, completed_rung(rung), mine)
        with rivals(study, trial, rung, bracket) as others:
            reached = len(others) + 1
            quota = max(reached // ladder.reduction_factor, 1)
            if reached <= ladder.bootstrap_count or not others.has_among_best(mine, quota):
                return True
        rung += 1
    return False


def estimate(study: optuna.Study, key: str, guess: Callable[[int], int]) -> int | None:
    """A resource estimated from the longest complete trial, once for the whole study.

    The first estimate is kept in the study's system attributes, so that every worker and every
    later run goes by it.

    Args:
        study: The study.
        key: System attribute that holds the estimate.
        guess: Last step of the longest complete trial -> resource.

    Returns:
        The estimate, or None before a trial with reports is complete.
    """
    storage, study_id = study._storage, study._study_id
    known = storage.get_study_system_attrs(study_id).get(key)
    if known is None:
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        reported = [latest(trial, len(study.directions)) for trial in complete]
        steps = [step for step, _ in filter(None, reported)]
        if not steps:
            return None
        known = guess(max(steps))
        storage.set_study_system_attr(study_id, key, known)
    return int(known)


def check_at_least(name: str, value: int, least: int) -> None:
    """Raise a DescriptionError unless an argument is an integer of at least `least`."""
    if not isinstance(value, int) or value < least:
        raise DescriptionError(
            f"expected {name} to be an integer of at least {least}, got {value!r}"
        )


def check_resource(name: str, value: int | str) -> None:
    """Raise a DescriptionError unless an argument is a positive integer or "auto"."""
    if value != "auto" and (not isinstance(value, int) or value < 1):
        raise DescriptionError(
            f"expected {name} to be an integer of at least 1 or 'auto', got {value!r}"
        )


def _next_rung(attrs: Mapping[str, Any]) -> int:
    rung = 0
    while completed_rung(rung) in attrs:
        rung += 1
    return rung
