"""Candidate -> Measurement: what a network is judged by, one quantity a file."""

from __future__ import annotations

from collections.abc import Callable

from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.flops import FLOPs
from optuna_nas.objectives.latency import Latency
from optuna_nas.objectives.metric import Accuracy, Metric
from optuna_nas.objectives.objective import STAGES, Measurement, Objective
from optuna_nas.objectives.parameters import Parameters

NAMES: dict[str, Callable[[], Objective]] = {
    "accuracy": Accuracy,
    "flops": FLOPs,
    "latency": Latency,
    "parameters": Parameters,
}
"""Objectives that a Search can be given by name."""

__all__ = [
    "NAMES",
    "STAGES",
    "Accuracy",
    "Candidate",
    "FLOPs",
    "Latency",
    "Measurement",
    "Metric",
    "Objective",
    "Parameters",
]
