"""The sandwich rule.

Source: Yu and Huang 2019 (universally slimmable networks), arXiv:1903.05134; Yu et al. 2020
(BigNAS), arXiv:2003.11142.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from optuna_nas.samplers.virtual import draw
from optuna_nas.supernet.drawing.candidates import Candidates, Params
from optuna_nas.supernet.drawing.drawing import Drawing, register

__all__ = ["Sandwich"]


@register("sandwich")
@dataclass(frozen=True)
class Sandwich(Drawing):
    """The largest network, the smallest, and others at random, which learn from the largest.

    Caps are for the others alone: both ends stay.
    """

    distils: ClassVar[bool] = True

    def __call__(
        self, candidates: Candidates, step: int, paths: int, progress: float
    ) -> list[Params]:
        extent = candidates.extent
        ends = [draw(extent.space, end).params for end in (extent.largest, extent.smallest)]
        others = (candidates.at_random(step, path) for path in range(2, paths))
        return [*ends, *others][:paths]
