"""The sandwich rule.

Source: Yu and Huang 2019 (universally slimmable networks), arXiv:1903.05134; Yu et al. 2020
(BigNAS), arXiv:2003.11142.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from optuna_nas.samplers.virtual import draw
from optuna_nas.supernet.drawing.drawing import Drawing, register
from optuna_nas.supernet.drawing.uniform import at_random
from optuna_nas.supernet.extent import Extent

__all__ = ["Sandwich"]


@register("sandwich")
@dataclass(frozen=True)
class Sandwich(Drawing):
    """The largest network, the smallest, and others at random, which learn from the largest."""

    distils: ClassVar[bool] = True

    def __call__(
        self, extent: Extent, seed: int, step: int, paths: int, progress: float
    ) -> list[Mapping[str, Any]]:
        ends = [draw(extent.space, end).params for end in (extent.largest, extent.smallest)]
        others = (at_random(extent, seed, step, path) for path in range(2, paths))
        return [*ends, *others][:paths]

    def another(
        self, extent: Extent, seed: int, step: int, path: int, progress: float, attempt: int
    ) -> Mapping[str, Any] | None:
        return None if path < 2 else at_random(extent, seed, step, path, attempt)
