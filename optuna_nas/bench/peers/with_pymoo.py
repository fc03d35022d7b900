"""pymoo: NSGA-II for mixed variables, as its guide sets it up, trained to the end.

Source: Blank and Deb 2020, doi:10.1109/ACCESS.2020.2990567.
"""

from __future__ import annotations

from typing import Any

import pymoo
from pymoo.algorithms.moo.nsga2 import RankAndCrowdingSurvival
from pymoo.core.mixed import MixedVariableGA
from pymoo.core.problem import ElementwiseProblem
from pymoo.core.variable import Choice, Integer
from pymoo.optimize import minimize

from .problem import Problem, main


class _Networks(ElementwiseProblem):  # type: ignore[misc]
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        variables = {
            p.name: Integer(bounds=(0, p.options - 1)) if p.ordered else Choice(options=p.choices)
            for p in problem.parameters
        }
        super().__init__(vars=variables, n_obj=2)

    def _evaluate(self, x: Any, out: dict[str, Any], *_: Any, **__: Any) -> None:
        out["F"] = self.problem.train(x)


def search(problem: Problem) -> None:
    """Search without an end."""
    algorithm = MixedVariableGA(pop_size=20, survival=RankAndCrowdingSurvival())
    minimize(_Networks(problem), algorithm, ("n_gen", 10**6), seed=problem.seed)


if __name__ == "__main__":
    main(search, pymoo.__version__)
