"""Ax: Bayesian optimisation with its own choice of models, trained to the end.

Source: Olson et al. 2025, Ax, AutoML-Conf; github.com/facebook/Ax.
"""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import Any

from ax.api.client import Client
from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

from .problem import Parameter, Problem, main


def search(problem: Problem) -> None:
    """Search without an end."""
    logging.disable(logging.WARNING)
    client = Client(random_seed=problem.seed)
    client.configure_experiment([_parameter(p) for p in problem.parameters])
    client.configure_optimization("-error, -cost")
    while True:
        for number, values in client.get_next_trials(max_trials=1).items():
            error, cost = problem.train(values)
            client.complete_trial(number, {"error": error, "cost": cost})


def _parameter(parameter: Parameter) -> Any:
    if parameter.ordered:
        return RangeParameterConfig(parameter.name, (0, parameter.options - 1), "int")
    return ChoiceParameterConfig(parameter.name, parameter.choices, "str", is_ordered=False)


if __name__ == "__main__":
    main(search, version("ax-platform"))
