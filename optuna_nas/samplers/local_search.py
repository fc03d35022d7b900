"""Local search: the neighbours of the best so far, until none is better."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from optuna_nas.samplers.history import Network
from optuna_nas.samplers.proposing import (
    ProposingSampler,
    Space,
    Tried,
    check_least,
    front,
)
from optuna_nas.samplers.uniform import generator
from optuna_nas.samplers.virtual import Proposal

__all__ = ["LocalSearch"]

CLIMB = "nas:climb"
"""System attribute of a trial: number of the trial with which its climb began."""
STEPS = 8
"""A neighbour differs in an ordered parameter by about this share of its range, or by one."""

Change = tuple[str, Any]
"""Parameter name and its new value."""


class _Climbs(Tried):
    """The networks of one study, and those that have no new neighbours."""

    def forget(self) -> None:
        super().forget()
        self.spent: set[int] = set()


class LocalSearch(ProposingSampler[_Climbs]):
    """Tries the neighbours of the front, each once, and begins elsewhere when none is left.

    A neighbour differs in one parameter: another choice, or one step up or down. What that opens
    up is drawn at random, the same for every trial. A climb has a front of its own, so that it
    does not end where it began; with one objective it is that of White et al.
    What was trained to the end is preferred to what was pruned, that to what broke a constraint.

    Every choice is a function of the seed, the trial's number and the trials in storage.

    Args:
        space: What the objective function draws networks by. Without one, a neighbour has the
            parameters of the network beside it, and what a change opens up is drawn at random.
        startup: Networks drawn at random before the first climb.
        seed: Seed of every choice; None draws one when the sampler is made.

    Raises:
        DescriptionError: An argument is out of its range.

    Source: White et al. 2020, arXiv:2005.02960; several objectives: Paquete et al. 2004,
    doi:10.1007/978-3-642-17144-4_7.
    """

    def __init__(
        self, space: Space | None = None, startup: int = 10, seed: int | None = None
    ) -> None:
        check_least("startup", startup, 1)
        self._startup = startup
        super().__init__(space, seed)

    def propose(self, tried: _Climbs, study: optuna.Study, trial: FrozenTrial) -> Proposal:
        """A new neighbour of a network on the front of a climb, or a random network."""
        rng = generator(self._seed, trial.number)
        if len(tried.judged) < self._startup:
            return tried.at_random(rng)
        for start, climbed in self._climbs(tried).items():
            found = self._neighbour(tried, front(climbed), rng)
            if found is not None:
                study._storage.set_trial_system_attr(trial._trial_id, CLIMB, start)
                return found
        study._storage.set_trial_system_attr(trial._trial_id, CLIMB, trial.number)
        return tried.at_random(rng)

    def begin(self, study: optuna.Study) -> _Climbs:
        """The networks of a study, none read yet."""
        return _Climbs(self.space)

    def _climbs(self, tried: Tried) -> dict[int, list[Network]]:
        """Number of the trial with which a climb began -> its networks."""
        climbs: dict[int, list[Network]] = {}
        for first, network in tried.judged.items():
            start = tried.trials[first].system_attrs.get(CLIMB, -1)
            climbs.setdefault(start, []).append(network)
        return dict(sorted(climbs.items()))

    def _neighbour(
        self, tried: _Climbs, networks: Sequence[Network], rng: np.random.Generator
    ) -> Proposal | None:
        for place in rng.permutation(len(networks)):
            network = networks[place]
            if network.number in tried.spent:
                continue
            changes = list(_changes(network))
            order = rng.permutation(len(changes))
            drawn = (self._changed(tried, network, changes[i]) for i in order)
            if (found := tried.first_new(drawn)) is not None:
                return found
            tried.spent.add(network.number)
        return None

    def _changed(self, tried: Tried, network: Network, change: Change) -> Proposal:
        name, value = change
        rng = generator(self._seed, network.number, f"{name}={value}")
        return tried.changed(network, {name: value}, rng)


def _changes(network: Network) -> Iterator[Change]:
    """Every change of one parameter."""
    for name, distribution in network.distributions.items():
        for value in _beside(network.params[name], distribution):
            yield name, value


def _beside(value: Any, distribution: BaseDistribution) -> list[Any]:
    """Values next to one."""
    if isinstance(distribution, CategoricalDistribution):
        own = distribution.to_internal_repr(value)
        return [v for i, v in enumerate(distribution.choices) if i != own]
    if isinstance(distribution, IntDistribution | FloatDistribution):
        both = (_moved(value, distribution, sign) for sign in (-1, 1))
        return [v for v in both if v != value]
    return []


def _moved(value: Any, distribution: IntDistribution | FloatDistribution, sign: int) -> Any:
    """A value one step up or down, on a logarithmic scale where the range is on one."""
    low, high = distribution.low, distribution.high
    if distribution.log:
        moved = value * math.exp(sign * math.log(high / low) / STEPS)
    else:
        moved = value + sign * (high - low) / STEPS
    if distribution.step:
        steps = round((moved - value) / distribution.step) or sign
        moved = value + steps * distribution.step
    return min(max(moved, low), high)
