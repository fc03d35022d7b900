"""What training logged: the harmonic mean of precision and recall."""

from __future__ import annotations

from dataclasses import dataclass

from optuna_nas.objectives.metric import Metric
from optuna_nas.objectives.objective import Direction

__all__ = ["F1"]


@dataclass(frozen=True, kw_only=True)
class F1(Metric):
    """F1 score of the validation examples, the mean over classes (macro), 0 to 1."""

    name: str = "f1"
    unit: str = "fraction"
    direction: Direction = "maximize"
    monitor: str = "val_f1"
