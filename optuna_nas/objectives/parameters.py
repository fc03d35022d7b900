"""Number of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.objective import Direction, Measurement, Objective, Stage

__all__ = ["Parameters"]


@dataclass(frozen=True, kw_only=True)
class Parameters(Objective):
    """Number of trainable weights, exact, known before anything is allocated."""

    name: str = "parameters"
    unit: str = ""
    direction: Direction = "minimize"
    stage: ClassVar[Stage] = "architecture"

    def __call__(self, candidate: Candidate) -> Measurement:
        return Measurement(
            float(sum(p.numel() for p in candidate.skeleton.parameters() if p.requires_grad))
        )
