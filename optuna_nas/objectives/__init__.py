"""Candidate -> Measurement: what a network is judged by, one quantity a file."""

from __future__ import annotations

from collections.abc import Callable

from optuna_nas.objectives.calibration_error import CalibrationError
from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.energy import Energy
from optuna_nas.objectives.f1 import F1
from optuna_nas.objectives.flops import FLOPs
from optuna_nas.objectives.latency import Latency
from optuna_nas.objectives.metric import Accuracy, Metric
from optuna_nas.objectives.model_size import ModelSize
from optuna_nas.objectives.objective import STAGES, Measurement, Objective
from optuna_nas.objectives.parameters import Parameters
from optuna_nas.objectives.peak_memory import PeakMemory
from optuna_nas.objectives.quantization_drop import QuantizationDrop
from optuna_nas.objectives.recall import Recall
from optuna_nas.objectives.validation_loss import ValidationLoss

NAMES: dict[str, Callable[[], Objective]] = {
    "accuracy": Accuracy,
    "calibration_error": CalibrationError,
    "energy": Energy,
    "f1": F1,
    "flops": FLOPs,
    "latency": Latency,
    "model_size": ModelSize,
    "parameters": Parameters,
    "peak_memory": PeakMemory,
    "quantization_drop": QuantizationDrop,
    "recall": Recall,
    "validation_loss": ValidationLoss,
}
"""Objectives that a Search can be given by name."""

__all__ = [
    "F1",
    "NAMES",
    "STAGES",
    "Accuracy",
    "CalibrationError",
    "Candidate",
    "Energy",
    "FLOPs",
    "Latency",
    "Measurement",
    "Metric",
    "ModelSize",
    "Objective",
    "Parameters",
    "PeakMemory",
    "QuantizationDrop",
    "Recall",
    "ValidationLoss",
]
