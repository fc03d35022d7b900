"""Candidate -> Measurement: what a network is judged by, one quantity a file."""

from __future__ import annotations

from optuna_nas.objectives.calibration_error import CalibrationError
from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.energy import Energy
from optuna_nas.objectives.f1 import F1
from optuna_nas.objectives.flops import FLOPs
from optuna_nas.objectives.grad_norm import GradNorm
from optuna_nas.objectives.jacob_cov import JacobCov
from optuna_nas.objectives.latency import Latency
from optuna_nas.objectives.mean_absolute_error import MeanAbsoluteError
from optuna_nas.objectives.metric import Accuracy, Metric
from optuna_nas.objectives.model_size import ModelSize
from optuna_nas.objectives.naswot import NASWOT
from optuna_nas.objectives.objective import STAGES, Measurement, Objective
from optuna_nas.objectives.parameters import Parameters
from optuna_nas.objectives.peak_memory import PeakMemory
from optuna_nas.objectives.quantization_drop import QuantizationDrop
from optuna_nas.objectives.r2 import R2
from optuna_nas.objectives.recall import Recall
from optuna_nas.objectives.registry import NAMES, resolve
from optuna_nas.objectives.snip import SNIP
from optuna_nas.objectives.synflow import SynFlow
from optuna_nas.objectives.untrained import untrained_values
from optuna_nas.objectives.validation_loss import ValidationLoss
from optuna_nas.objectives.weighted import Weighted

__all__ = [
    "F1",
    "NAMES",
    "NASWOT",
    "R2",
    "SNIP",
    "STAGES",
    "Accuracy",
    "CalibrationError",
    "Candidate",
    "Energy",
    "FLOPs",
    "GradNorm",
    "JacobCov",
    "Latency",
    "MeanAbsoluteError",
    "Measurement",
    "Metric",
    "ModelSize",
    "Objective",
    "Parameters",
    "PeakMemory",
    "QuantizationDrop",
    "Recall",
    "SynFlow",
    "ValidationLoss",
    "Weighted",
    "resolve",
    "untrained_values",
]
