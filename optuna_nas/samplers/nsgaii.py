"""NSGA-II that evolves conditional parameters."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.exceptions import DescriptionError
from optuna_nas.samplers.population import Member, Population
from optuna_nas.samplers.uniform import generator, uniform
from optuna_nas.samplers.walking import WalkingSampler

__all__ = ["NSGAII"]


@dataclass
class _Child:
    """A trial being drawn: its parents (none while the population grows) and its generator."""

    parents: Sequence[FrozenTrial]
    mutation: float
    rng: np.random.Generator


@dataclass
class _Evolution:
    """What the sampler holds of one study; all of it follows from the storage."""

    population: Population
    children: dict[int, _Child] = field(default_factory=dict)


class NSGAII(WalkingSampler[_Evolution]):
    """Conditional NSGA-II: a child walks the define-by-run space with two parents at its side.

    Each parameter is inherited from one of the parents that has it under the same distribution,
    with equal chances if both have it; with the mutation probability, or if neither has it, it is
    drawn at random. So what only some trials have evolves too, where Optuna's NSGA-II draws it
    at random. Pruned and rejected trials take part: complete trials come first, then pruned ones
    by the step they reached, then infeasible ones by their total violation.

    Every choice is a function of the seed, the trial's number and the finished trials in storage:
    a study goes on after a resume as if it had not stopped, and no two workers draw the same.

    Args:
        population_size: Members kept; until there are as many, trials are drawn at random.
        crossover_prob: Probability that a child has two parents instead of one.
        mutation_prob: Probability per parameter that it is drawn anew; by default 2 / n, at most
            one half, for parents with n parameters on average.
        seed: Seed of every choice; None draws one when the sampler is made.

    Raises:
        DescriptionError: If an argument is out of its range.

    Source: Deb et al. 2002, doi:10.1109/4235.996017.
    """

    def __init__(
        self,
        population_size: int = 20,
        crossover_prob: float = 1.0,
        mutation_prob: float | None = None,
        seed: int | None = None,
    ) -> None:
        _check_whole("population_size", population_size, 2)
        _check_probability("crossover_prob", crossover_prob)
        if mutation_prob is not None:
            _check_probability("mutation_prob", mutation_prob)
        if seed is not None:
            _check_whole("seed", seed, 0)
        self._population_size = population_size
        self._crossover_prob = crossover_prob
        self._mutation_prob = mutation_prob
        self._seed = secrets.randbits(128) if seed is None else seed
        super().__init__()

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Inherit a parameter from a parent, or draw it at random."""
        child = self._child(study, trial)
        carriers = [
            parent
            for parent in child.parents
            if _same(parent.distributions.get(param_name), param_distribution)
        ]
        if not carriers or child.rng.random() < child.mutation:
            return uniform(param_distribution, child.rng)
        return carriers[_index(len(carriers), child.rng)].params[param_name]

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Forget the parents of a trial that ends."""
        self.held(study).children.pop(trial.number, None)

    def begin(self, study: Study) -> _Evolution:
        """The population of a study, empty."""
        return _Evolution(Population(self._population_size, study.directions))

    def _child(self, study: Study, trial: FrozenTrial) -> _Child:
        evolution = self.held(study)
        child = evolution.children.get(trial.number)
        if child is None:
            with self._lock:
                # Not study.get_trials: under Optuna's Hyperband that is one bracket only.
                trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
                evolution.population.update(trials)
                child = self._conceive(evolution.population.members, trial.number)
                evolution.children[trial.number] = child
        return child

    def _conceive(self, members: Sequence[Member], number: int) -> _Child:
        rng = generator(self._seed, number)
        if len(members) < self._population_size:
            return _Child((), 1.0, rng)
        first = _tournament(members, rng)
        parents = [first]
        if rng.random() < self._crossover_prob:
            parents.append(_tournament([m for m in members if m is not first], rng))
        return _Child([parent.trial for parent in parents], self._mutation(parents), rng)

    def _mutation(self, parents: Sequence[Member]) -> float:
        if self._mutation_prob is not None:
            return self._mutation_prob
        free = sum(parent.free for parent in parents) / len(parents)
        return min(0.5, 2.0 / max(free, 1.0))


def _tournament(members: Sequence[Member], rng: np.random.Generator) -> Member:
    # Members come best first, so the smaller index wins.
    return members[min(_index(len(members), rng), _index(len(members), rng))]


def _index(count: int, rng: np.random.Generator) -> int:
    return int(rng.random() * count)


def _same(one: BaseDistribution | None, other: BaseDistribution) -> bool:
    # Optuna's own comparison is slow for categorical choices: it looks for NaN in each.
    return type(one) is type(other) and (vars(one) == vars(other) or one == other)


def _check_whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise DescriptionError(
            f"expected {name} to be a whole number of at least {least}, got {value!r}"
        )


def _check_probability(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise DescriptionError(f"expected {name} between 0 and 1, got {value!r}")
