"""Progressive shrinking.

Source: Cai et al. 2020 (Once-for-all), arXiv:1908.09791.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution

from optuna_nas.exceptions import DescriptionError
from optuna_nas.samplers.uniform import generator, uniform
from optuna_nas.samplers.virtual import draw
from optuna_nas.supernet.drawing.candidates import Candidates, Params
from optuna_nas.supernet.drawing.drawing import Drawing, register

__all__ = ["Shrinking"]

ORDER = (r"kernel", r"depth|blocks|layers", r"")
"""Kernels first, then depths, then all that is left: widths, expansions and operators."""


@register("shrinking")
@dataclass(frozen=True)
class Shrinking(Drawing):
    """The largest network first; then choices are opened in stages of equal length.

    Networks keep caps as soon as every choice is open.

    Args:
        order: Regular expressions: the parameters whose names one matches are drawn at random from
            its stage on, and are as large as they can be before.

    Raises:
        DescriptionError: No regular expression.
    """

    order: tuple[str, ...] = ORDER

    def __post_init__(self) -> None:
        for pattern in self.order:
            try:
                re.compile(pattern)
            except re.error as error:
                raise DescriptionError(
                    f"expected regular expressions in order={self.order}, got {pattern!r}: {error}"
                ) from error

    def __call__(
        self, candidates: Candidates, step: int, paths: int, progress: float
    ) -> list[Params]:
        opened = self.order[: int(progress * (len(self.order) + 1))]
        drawn = [self._one(candidates, opened, step, path) for path in range(paths)]
        if opened != self.order:  # what is not opened yet is as large as it can be
            return drawn
        return [candidates.kept(params, step, path) for path, params in enumerate(drawn)]

    def _one(
        self, candidates: Candidates, opened: tuple[str, ...], step: int, path: int
    ) -> Params:
        extent, rng = candidates.extent, generator("path", candidates.seed, step, path)

        def value(name: str, distribution: BaseDistribution) -> Any:
            if any(re.search(pattern, name) for pattern in opened):
                return uniform(distribution, rng)
            return extent.largest(name, distribution)

        return draw(extent.space, value).params
