"""Objectives by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from optuna_nas.exceptions import DescriptionError
from optuna_nas.names import choose
from optuna_nas.objectives.calibration_error import CalibrationError
from optuna_nas.objectives.energy import Energy
from optuna_nas.objectives.f1 import F1
from optuna_nas.objectives.flops import FLOPs
from optuna_nas.objectives.grad_norm import GradNorm
from optuna_nas.objectives.jacob_cov import JacobCov
from optuna_nas.objectives.latency import Latency
from optuna_nas.objectives.mean_absolute_error import MeanAbsoluteError
from optuna_nas.objectives.metric import Accuracy
from optuna_nas.objectives.model_size import ModelSize
from optuna_nas.objectives.naswot import NASWOT
from optuna_nas.objectives.objective import Objective
from optuna_nas.objectives.parameters import Parameters
from optuna_nas.objectives.peak_memory import PeakMemory
from optuna_nas.objectives.quantization_drop import QuantizationDrop
from optuna_nas.objectives.r2 import R2
from optuna_nas.objectives.recall import Recall
from optuna_nas.objectives.snip import SNIP
from optuna_nas.objectives.synflow import SynFlow
from optuna_nas.objectives.validation_loss import ValidationLoss

__all__ = ["NAMES", "each_once", "resolve"]

NAMES: dict[str, Callable[[], Objective]] = {
    "accuracy": Accuracy,
    "calibration_error": CalibrationError,
    "energy": Energy,
    "f1": F1,
    "flops": FLOPs,
    "grad_norm": GradNorm,
    "jacob_cov": JacobCov,
    "latency": Latency,
    "mae": MeanAbsoluteError,
    "model_size": ModelSize,
    "naswot": NASWOT,
    "parameters": Parameters,
    "peak_memory": PeakMemory,
    "quantization_drop": QuantizationDrop,
    "r2": R2,
    "recall": Recall,
    "snip": SNIP,
    "synflow": SynFlow,
    "validation_loss": ValidationLoss,
}
"""Objectives that a Search can be given by name."""


def resolve(objective: Objective | str) -> Objective:
    """An objective as it is, or the one of a name.

    Raises:
        DescriptionError: Neither an objective nor the name of one.
    """
    if isinstance(objective, Objective):
        return objective
    if not isinstance(objective, str):
        raise DescriptionError(f"expected an objective or its name, got {objective!r}")
    make: Callable[[], Objective] = choose("objective", objective, NAMES)
    return make()


def each_once(objectives: Iterable[Objective]) -> dict[str, Objective]:
    """Objectives by name; of one that is given with caps and without, the one with caps.

    Raises:
        DescriptionError: Two of one name differ in more than that.
    """
    found: dict[str, Objective] = {}
    for objective in objectives:
        other = found.setdefault(objective.name, objective)
        if objective == other:
            continue
        uncapped = replace(objective, max=None, min=None)
        if replace(other, max=None, min=None) != uncapped or uncapped not in (objective, other):
            raise DescriptionError(
                f"expected one quantity named {objective.name!r}, got two that differ; give "
                "Weighted the same one as the search, or one of them another name"
            )
        if other == uncapped:
            found[objective.name] = objective
    return found
