"""Regularised evolution: the oldest dies, not the worst."""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial

from optuna_nas.samplers.proposing import (
    ProposingSampler,
    Space,
    Tried,
    check_least,
    front,
)
from optuna_nas.samplers.uniform import generator
from optuna_nas.samplers.virtual import Proposal

__all__ = ["RegularizedEvolution"]


class RegularizedEvolution(ProposingSampler[Tried]):
    """Ageing evolution with any number of objectives.

    The population is the networks that finished last. A few of them are drawn, and one of the
    front of these has a child: a network that was not tried, different in about one parameter.
    What was trained to the end is preferred to what was pruned, that to what broke a constraint.

    Every choice is a function of the seed, the trial's number and the trials in storage.

    Args:
        space: What the objective function draws networks by. Without one, a child has the
            parameters of its parent, and what a change opens up is drawn at random.
        population_size: Networks in the population; until there are as many, they are drawn at
            random.
        sample_size: Networks drawn of the population, of which one becomes the parent.
        seed: Seed of every choice; None draws one when the sampler is made.

    Raises:
        DescriptionError: An argument is out of its range.

    Source: Real et al. 2019, arXiv:1802.01548.
    """

    def __init__(
        self,
        space: Space | None = None,
        population_size: int = 100,
        sample_size: int = 25,
        startup: int = 10,
        seed: int | None = None,
    ) -> None:
        check_least("population_size", population_size, 2)
        check_least("sample_size", sample_size, 1)
        self._population_size = population_size
        check_least("startup", startup, 2)
        self._sample_size = sample_size
        self._startup = startup
        super().__init__(space, seed)

    def propose(self, tried: Tried, study: optuna.Study, trial: FrozenTrial) -> Proposal:
        """The child of a network of the population."""
        rng = generator(self._seed, trial.number)
        population = list(tried.judged.values())[-self._population_size :]
        if len(population) < self._startup:
            return tried.at_random(rng)
        size = min(self._sample_size, len(population))
        chosen = front([population[i] for i in rng.choice(len(population), size, replace=False)])
        return tried.mutant(chosen[int(rng.random() * len(chosen))], rng)

    def begin(self, study: optuna.Study) -> Tried:
        """The networks of a study, none read yet."""
        return Tried(self.space)
