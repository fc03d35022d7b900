"""What training logged: the share of each class that is found."""

from __future__ import annotations

from dataclasses import dataclass

from optuna_nas.objectives.metric import Metric
from optuna_nas.objectives.objective import Direction

__all__ = ["Recall"]


@dataclass(frozen=True, kw_only=True)
class Recall(Metric):
    """Recall of the validation examples, the mean over classes (macro), 0 to 1."""

    name: str = "recall"
    unit: str = "fraction"
    direction: Direction = "maximize"
    monitor: str = "val_recall"
