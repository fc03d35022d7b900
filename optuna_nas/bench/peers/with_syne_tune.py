"""Syne Tune: MOASHA, expected hypervolume improvement, multi-objective regularised evolution.

MOASHA meets every rung of the table, and a third of what reached one goes on, as by default. The
others train to the end. Evolution has a population of 20 instead of 100, which no small budget
fills. Expected hypervolume improvement takes (2, 2) for its reference point after a change of
sign; so that this is just beyond the worst, it is told objectives between -3.1 and -2.1, by all
that are known so far. What it proposes again, as it does with categories, is drawn at random.

Source: Salinas et al. 2022, Syne Tune, AutoML-Conf; Schmucker et al. 2021, arXiv:2106.12639
(MOASHA); Daulton et al. 2020, arXiv:2006.05078 (expected hypervolume improvement).
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import syne_tune
import torch
from syne_tune.config_space import choice, randint
from syne_tune.optimizer.baselines import EHVI
from syne_tune.optimizer.scheduler import SchedulerDecision
from syne_tune.optimizer.schedulers.ask_tell_scheduler import AskTellScheduler
from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA
from syne_tune.optimizer.schedulers.multiobjective.multi_objective_regularized_evolution import (
    MultiObjectiveRegularizedEvolution,
)
from syne_tune.optimizer.schedulers.single_fidelity_scheduler import SingleFidelityScheduler

from .problem import ETA, Problem, main

METRICS = ["error", "cost"]


def search(problem: Problem) -> None:
    """Search without an end."""
    random.seed(problem.seed)
    np.random.seed(problem.seed)  # what draws configurations takes no other
    space = {
        p.name: randint(0, p.options - 1) if p.ordered else choice(p.choices)
        for p in problem.parameters
    }
    METHODS[problem.method](problem, space)


def _moasha(problem: Problem, space: dict[str, Any]) -> None:
    scheduler = MOASHA(
        space,
        METRICS,
        time_attr="fidelity",
        grace_period=1,
        max_t=problem.fidelities[-1],
        reduction_factor=ETA,
        random_seed=problem.seed,
    )
    asking = AskTellScheduler(scheduler)
    while True:
        trial = asking.ask()
        scheduler.on_trial_add(trial)
        for rung, fidelity in enumerate(problem.fidelities):
            told = dict(zip(METRICS, problem.train(trial.config, rung), strict=True))
            result = told | {"fidelity": fidelity}
            if scheduler.on_trial_result(trial, result) != SchedulerDecision.CONTINUE:
                break


def _evolution(problem: Problem, space: dict[str, Any]) -> None:
    searcher = MultiObjectiveRegularizedEvolution(
        space, population_size=20, random_seed=problem.seed
    )
    asking = AskTellScheduler(
        SingleFidelityScheduler(space, METRICS, searcher=searcher, random_seed=problem.seed)
    )
    while True:
        trial = asking.ask()
        asking.tell(trial, dict(zip(METRICS, problem.train(trial.config), strict=True)))


def _improvement(problem: Problem, space: dict[str, Any]) -> None:
    torch.set_default_dtype(torch.float64)  # it mixes both otherwise, which BoTorch refuses
    scheduler = EHVI(space, METRICS, random_seed=problem.seed)
    asking, told, seen = AskTellScheduler(scheduler), [], set()
    while True:
        trial = asking.ask()
        if tuple(trial.config.items()) in seen:
            trial.config = {name: domain.sample() for name, domain in space.items()}
            scheduler.searcher.trial_configs[trial.trial_id] = trial.config
        seen.add(tuple(trial.config.items()))
        told.append(problem.train(trial.config))
        asking.tell(trial, dict(zip(METRICS, told[-1], strict=True)))
        values = np.array(told)
        ranges = np.maximum(np.ptp(values, axis=0), 1e-12)
        shifted = (values - values.min(axis=0)) / ranges - 3.1
        scheduler.searcher.trial_observations = dict(enumerate(shifted.tolist()))


METHODS = {
    "syne-tune-moasha": _moasha,
    "syne-tune-mo-rea": _evolution,
    "syne-tune-ehvi": _improvement,
}

if __name__ == "__main__":
    main(search, syne_tune.__version__)
