"""What training logged: how far confidence is from accuracy."""

from __future__ import annotations

from dataclasses import dataclass

from optuna_nas.objectives.metric import Metric
from optuna_nas.objectives.objective import Direction

__all__ = ["CalibrationError"]


@dataclass(frozen=True, kw_only=True)
class CalibrationError(Metric):
    """Expected calibration error on the validation examples, 0 to 1.

    The mean difference between the confidence of a prediction and the share of predictions so
    confident that are right, over 15 bins of confidence.

    Source: Guo et al. 2017, arXiv:1706.04599.
    """

    name: str = "calibration_error"
    unit: str = "fraction"
    direction: Direction = "minimize"
    monitor: str = "val_calibration_error"
