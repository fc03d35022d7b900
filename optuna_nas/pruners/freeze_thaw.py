"""Pauses every network at each rung; which one goes on is for the sampler to say."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

from optuna_nas.exceptions import DescriptionError
from optuna_nas.pruners.curve import latest, to_json
from optuna_nas.pruners.lineages import Lineages, completed_rung
from optuna_nas.pruners.rungs import check_at_least

__all__ = ["THROUGH", "FreezeThaw"]

THROUGH = "nas:through"
"""System attribute of a trial that is not to be paused."""


class FreezeThaw(BasePruner):
    """Ends a trial at the first rung that its network has not reached before.

    A network is taken up again by a new trial with the user attribute `continues`, which passes
    the rungs that the network has reached and ends at the next one. `samplers.Predictor` proposes
    such trials, weighing what a network may still become against what a new one would. Where it
    finds that rungs tell little of the end, it has trials trained to their end at once.

    Args:
        steps: Steps of the rungs, rising; beyond the last a trial runs to its end.
        end: Step of the end, by which the sampler knows how dear a rung is; None where it is not
            known.

    Raises:
        DescriptionError: The steps do not rise from 1 or more, or the end is before the last.

    Source: Swersky, Snoek and Adams 2014, arXiv:1406.3896.
    """

    def __init__(self, steps: Sequence[int], end: int | None = None) -> None:
        if not steps:
            raise DescriptionError("expected at least one step, got none")
        for step in steps:
            check_at_least("each of steps", step, 1)
        if any(later <= earlier for earlier, later in pairwise(steps)):
            raise DescriptionError(f"expected rising steps, got {list(steps)}")
        if end is not None:
            check_at_least("end", end, steps[-1])
        self.steps = tuple(steps)
        self.end = end

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial has reached a rung that is new to its network."""
        reported = latest(trial, len(study.directions))
        if reported is None:
            return False
        step, values = reported
        reached = Lineages(study).inherited(trial)
        passed = [completed_rung(k) for k, at in enumerate(self.steps) if step >= at]
        due = [key for key in passed if key not in reached]
        value = values[0] if len(values) == 1 else to_json(values)
        for key in due:
            study._storage.set_trial_system_attr(trial._trial_id, key, value)
        return bool(due) and THROUGH not in trial.system_attrs
