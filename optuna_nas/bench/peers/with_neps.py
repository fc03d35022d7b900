"""NePS: multi-objective Hyperband, and PriMO without priors, at every rung of the table.

Source: Stoll et al. 2025, NePS, github.com/automl/neps; Basu et al. 2025, PriMO.
"""

from __future__ import annotations

import random
from importlib.metadata import version
from typing import Any

import neps
import numpy as np
import torch
from neps.space import SearchSpace

from .problem import ETA, Problem, main

FIDELITY = "fidelity"


def search(problem: Problem) -> None:
    """Search without an end."""
    random.seed(problem.seed)
    np.random.seed(problem.seed)
    torch.manual_seed(problem.seed)
    elements: dict[str, Any] = {
        p.name: neps.HPOInteger(0, p.options - 1) if p.ordered else neps.HPOCategorical(p.choices)
        for p in problem.parameters
    }
    elements[FIDELITY] = neps.HPOInteger(1, problem.fidelities[-1], is_fidelity=True)
    space = SearchSpace(elements)
    asking = neps.AskAndTell(
        neps.algorithms.mo_hyperband(space, eta=ETA)
        if problem.method == "neps-mo-hyperband"
        else neps.algorithms.primo(space, eta=ETA, prior_centers={})
    )
    while True:
        trial = asking.ask()
        rung = problem.fidelities.index(trial.config[FIDELITY])
        asking.tell(trial, {"objective_to_minimize": problem.train(trial.config, rung)})


if __name__ == "__main__":
    main(search, version("neural-pipeline-search"))
