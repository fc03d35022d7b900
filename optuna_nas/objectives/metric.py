"""What training logged: accuracy, or any metric of the user's LightningModule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from optuna_nas.exceptions import TrainingError
from optuna_nas.model.metrics import METRICS, MakeMetric
from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.objective import Direction, Measurement, Objective, Stage

__all__ = ["Accuracy", "Metric"]

_FURTHER = ", ".join(f"val_{name}" for name in METRICS)


@dataclass(frozen=True, kw_only=True)
class Metric(Objective):
    """A metric that the LightningModule logs on validation, at the last epoch trained.

    Args:
        monitor: Key under which the module logs it, such as `val_f1`.
    """

    monitor: str
    stage: ClassVar[Stage] = "trained"

    def __call__(self, candidate: Candidate) -> Measurement:
        return Measurement(self.logged(candidate.metrics))

    @property
    def logged_by(self) -> MakeMetric | None:
        """What a `Classifier` must count for it; None where it logs it anyway, or cannot."""
        return METRICS.get(self.monitor.removeprefix("val_"))

    def logged(self, metrics: Mapping[str, Any]) -> float:
        """Its value among what a training logged.

        Raises:
            TrainingError: It was not logged.
        """
        try:
            return float(metrics[self.monitor])
        except KeyError:
            logged = ", ".join(sorted(metrics)) or "nothing"
            raise TrainingError(
                f"expected the LightningModule to log {self.monitor!r}, got {logged}; "
                f"call self.log({self.monitor!r}, ...) in validation_step, or use a recipe that "
                f"logs it: Classifier(metrics=[...]), which logs {_FURTHER} and always "
                "val_accuracy, val_loss; or Regressor, which logs val_loss, val_mae, val_r2"
            ) from None


@dataclass(frozen=True, kw_only=True)
class Accuracy(Metric):
    """Share of validation examples classified correctly, 0 to 1."""

    name: str = "accuracy"
    unit: str = "fraction"
    direction: Direction = "maximize"
    monitor: str = "val_accuracy"
