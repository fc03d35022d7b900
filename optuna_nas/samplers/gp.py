"""Optuna's Gaussian process sampler, shown the trials that a cap rejected."""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from functools import partial
from typing import Any

import numpy as np
from optuna._gp.search_space import SearchSpace
from optuna.distributions import BaseDistribution
from optuna.samplers import GPSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

__all__ = ["GP"]


class GP(GPSampler):
    """`optuna.samplers.GPSampler`, which by itself reads complete trials alone.

    A trial rejected by a cap is pruned before it has values, so that Optuna's own sampler never
    learns of it and goes on to propose what is rejected. Here it is shown as a complete trial
    with the values of the nearest one, which leaves the objectives as they are, and every trial
    with its worst constraint alone, since a trial ends at the first cap that it breaks.
    """

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw from the Gaussian processes fitted to complete and rejected trials."""
        view = copy.copy(study)
        vars(view)["_get_trials"] = partial(_trials, study, search_space)
        drawn: dict[str, Any] = super().sample_relative(view, trial, search_space)
        return drawn


def _trials(
    study: Study,
    search_space: dict[str, BaseDistribution],
    deepcopy: bool = True,
    states: Container[TrialState] | None = None,
    use_cache: bool = False,
) -> list[FrozenTrial]:
    """As `Study._get_trials`, with rejected trials among the complete ones."""
    found = study._get_trials(deepcopy=deepcopy, states=states, use_cache=use_cache)
    pruned = study._get_trials(deepcopy=False, states=(TrialState.PRUNED,), use_cache=use_cache)
    rejected = [
        trial
        for trial in pruned
        if max(trial.constraints.values(), default=0.0) > 0
        and search_space.keys() <= trial.params.keys()
    ]
    complete = [trial for trial in found if trial.state == TrialState.COMPLETE]
    if not rejected or not complete:
        return found
    others = [trial for trial in found if trial.state != TrialState.COMPLETE]
    values = [complete[i].values for i in _nearest(rejected, complete, SearchSpace(search_space))]
    return [
        *(_shown(trial, trial.values) for trial in complete),
        *(_shown(trial, near) for trial, near in zip(rejected, values, strict=True)),
        *others,
    ]


def _nearest(
    trials: list[FrozenTrial], others: list[FrozenTrial], space: SearchSpace
) -> Sequence[int]:
    """Position of the nearest other trial to each, parameters scaled to their ranges."""
    apart = space.get_normalized_params(trials)[:, None] - space.get_normalized_params(others)
    distance = np.minimum(np.abs(apart), 1.0).sum(axis=2)  # two categories are 1 apart
    nearest: Sequence[int] = distance.argmin(axis=1).tolist()
    return nearest


def _shown(trial: FrozenTrial, values: Sequence[float]) -> FrozenTrial:
    return create_trial(
        state=TrialState.COMPLETE,
        values=values,
        params=trial.params,
        distributions=trial.distributions,
        constraints={"worst": max(trial.constraints.values(), default=0.0)},
    )
