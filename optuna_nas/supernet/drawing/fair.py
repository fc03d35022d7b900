"""Strictly fair paths.

Source: Chu et al. 2021 (FairNAS), arXiv:1907.01845.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from math import lcm
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution

from optuna_nas.samplers.uniform import generator
from optuna_nas.samplers.virtual import draw
from optuna_nas.supernet.drawing.candidates import Candidates, Params
from optuna_nas.supernet.drawing.drawing import Drawing, register
from optuna_nas.supernet.extent import Extent, options

__all__ = ["Fair"]

LONGEST = 120
"""Networks in a round at most."""


@register("fair")
@dataclass(frozen=True)
class Fair(Drawing):
    """Each option of each choice is drawn equally often within a round of networks.

    A round has as many networks as the least common multiple of the numbers of options, and 120 at
    most. The options of a choice that not every network has are drawn equally often among those
    that have it, or once more at most. Continuous choices alternate between their ends. What
    takes the place of a network that breaks a cap is drawn uniformly.
    """

    def __call__(
        self, candidates: Candidates, step: int, paths: int, progress: float
    ) -> list[Params]:
        extent, seed = candidates.extent, candidates.seed
        length = self.round(extent)
        drawn = []
        for path in range(paths):
            number, place = divmod(step * paths + path, length)
            params = _round(extent, seed, number, length)[place]
            drawn.append(candidates.kept(params, step, path))
        return drawn

    def round(self, extent: Extent) -> int:
        """How many networks a round has."""
        counts = [len(costs) for costs in extent.costs.values()] or [1]
        exact = lcm(*counts)
        return exact if exact <= LONGEST else LONGEST


@lru_cache(maxsize=2)  # the steps of a round ask for it again and again
def _round(extent: Extent, seed: int, number: int, length: int) -> list[Params]:
    """All networks of a round: the options of a choice in a random order, again and again."""
    left: dict[str, list[int]] = defaultdict(list)
    rngs: dict[str, np.random.Generator] = {}

    def value(name: str, distribution: BaseDistribution) -> Any:
        choices = options(distribution)
        if not left[name]:
            rng = rngs.setdefault(name, generator("fair", seed, number, name))
            left[name] = rng.permutation(len(choices)).tolist()
        return choices[left[name].pop()]

    return [draw(extent.space, value).params for _ in range(length)]
