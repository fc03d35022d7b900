"""SMAC3: random forests with ParEGO, its facade for hyperparameters, trained to the end.

Source: Lindauer et al. 2022, arXiv:2109.09831; ParEGO: Knowles 2006,
doi:10.1109/TEVC.2005.851274.
"""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path

from ConfigSpace import Categorical, ConfigurationSpace, Integer
from smac import HyperparameterOptimizationFacade, Scenario
from smac.multi_objective.parego import ParEGO
from smac.runhistory.dataclasses import TrialValue

from .problem import Problem, main


def search(problem: Problem) -> None:
    """Search until the budget is spent, which its initial design is a quarter of at most."""
    space = ConfigurationSpace(seed=problem.seed)
    for p in problem.parameters:
        space.add(
            Integer(p.name, (0, p.options - 1)) if p.ordered else Categorical(p.name, p.choices)
        )
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            space,
            objectives=["error", "cost"],
            deterministic=True,
            n_trials=problem.trainings,
            seed=problem.seed,
            output_directory=Path(folder),
        )
        facade = HyperparameterOptimizationFacade(
            scenario,
            lambda config, seed: 0.0,  # asked and told, it calls nothing
            multi_objective_algorithm=ParEGO(scenario),
            overwrite=True,
            logging_level=False,
        )
        while True:
            trial = facade.ask()
            facade.tell(trial, TrialValue(cost=problem.train(dict(trial.config))))


if __name__ == "__main__":
    main(search, version("smac"))
