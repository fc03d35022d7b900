"""pymoo: NSGA-II for mixed variables, as its guide sets it up, trained to the end.

Source: Blank and Deb 2020, doi:10.1109/ACCESS.2020.2990567.
"""

from __future__ import annotations

import numpy as np
import pymoo
from pymoo.algorithms.moo.nsga2 import RankAndCrowdingSurvival
from pymoo.core.evaluator import Evaluator
from pymoo.core.mixed import MixedVariableGA
from pymoo.core.problem import Problem as Space
from pymoo.core.variable import Choice, Integer
from pymoo.problems.static import StaticProblem

from .problem import Problem, main


def search(problem: Problem) -> None:
    """Search without an end, by pymoo's ask and tell."""
    variables = {
        p.name: Integer(bounds=(0, p.options - 1)) if p.ordered else Choice(options=p.choices)
        for p in problem.parameters
    }
    space = Space(vars=variables, n_obj=2)
    algorithm = MixedVariableGA(pop_size=20, survival=RankAndCrowdingSurvival())
    algorithm.setup(space, termination=("n_gen", 10**6), seed=problem.seed)
    while True:
        asked = algorithm.ask()
        told = np.array([problem.train(values) for values in asked.get("X")])
        Evaluator().eval(StaticProblem(space, F=told), asked)
        algorithm.tell(infills=asked)


if __name__ == "__main__":
    main(search, pymoo.__version__)
