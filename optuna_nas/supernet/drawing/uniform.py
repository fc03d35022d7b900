"""Uniform single paths.

Source: Guo et al. 2020 (SPOS), arXiv:1904.00420.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution

from optuna_nas.samplers.uniform import generator, uniform
from optuna_nas.samplers.virtual import draw
from optuna_nas.supernet.drawing.drawing import Drawing, register
from optuna_nas.supernet.extent import Extent

__all__ = ["Uniform", "at_random"]


@register("uniform")
@dataclass(frozen=True)
class Uniform(Drawing):
    """Every value of every choice is as likely, in each network independently."""

    def __call__(
        self, extent: Extent, seed: int, step: int, paths: int, progress: float
    ) -> list[Mapping[str, Any]]:
        return [at_random(extent, seed, step, path) for path in range(paths)]

    def another(
        self, extent: Extent, seed: int, step: int, path: int, progress: float, attempt: int
    ) -> Mapping[str, Any]:
        return at_random(extent, seed, step, path, attempt)


def at_random(extent: Extent, seed: int, step: int, path: int, *attempt: int) -> Mapping[str, Any]:
    """Parameters drawn uniformly for one network of a step, or to take its place."""
    rng = generator("path", seed, step, path, *attempt)

    def value(_: str, distribution: BaseDistribution) -> Any:
        return uniform(distribution, rng)

    return draw(extent.space, value).params
