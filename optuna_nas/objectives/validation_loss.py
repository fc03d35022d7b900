"""What training logged: the loss on validation data."""

from __future__ import annotations

from dataclasses import dataclass

from optuna_nas.objectives.metric import Metric
from optuna_nas.objectives.objective import Direction

__all__ = ["ValidationLoss"]


@dataclass(frozen=True, kw_only=True)
class ValidationLoss(Metric):
    """Loss on the validation examples, in the unit of the module's own loss.

    `nas.model.Classifier` logs the mean cross entropy, in nats.
    """

    name: str = "validation_loss"
    unit: str = ""
    direction: Direction = "minimize"
    monitor: str = "val_loss"
