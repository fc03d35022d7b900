"""What training logged: the share of the targets' variance that predictions explain."""

from __future__ import annotations

from dataclasses import dataclass

from optuna_nas.objectives.metric import Metric
from optuna_nas.objectives.objective import Direction

__all__ = ["R2"]


@dataclass(frozen=True, kw_only=True)
class R2(Metric):
    """Coefficient of determination on the validation examples: 1 at best, 0 for the mean."""

    name: str = "r2"
    unit: str = ""
    direction: Direction = "maximize"
    monitor: str = "val_r2"
