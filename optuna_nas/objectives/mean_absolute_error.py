"""What training logged: how far predictions of a regression are off."""

from __future__ import annotations

from dataclasses import dataclass

from optuna_nas.objectives.metric import Metric
from optuna_nas.objectives.objective import Direction

__all__ = ["MeanAbsoluteError"]


@dataclass(frozen=True, kw_only=True)
class MeanAbsoluteError(Metric):
    """Mean distance of prediction and target on the validation examples, in the target's unit."""

    name: str = "mae"
    unit: str = ""
    direction: Direction = "minimize"
    monitor: str = "val_mae"
