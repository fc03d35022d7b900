"""Uniform single paths.

Source: Guo et al. 2020 (SPOS), arXiv:1904.00420.
"""

from __future__ import annotations

from dataclasses import dataclass

from optuna_nas.supernet.drawing.candidates import Candidates, Params
from optuna_nas.supernet.drawing.drawing import Drawing, register

__all__ = ["Uniform"]


@register("uniform")
@dataclass(frozen=True)
class Uniform(Drawing):
    """Every value of every choice is as likely, in each network independently."""

    def __call__(
        self, candidates: Candidates, step: int, paths: int, progress: float
    ) -> list[Params]:
        return [candidates.at_random(step, path) for path in range(paths)]
