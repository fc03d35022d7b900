"""What is known of networks without training, as numbers that a predictor can learn from."""

from __future__ import annotations

import math
from collections.abc import Iterable

from lightning.pytorch import LightningDataModule
from torch import nn

from optuna_nas import datasets
from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import DescriptionError, MeasurementError
from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.objective import STAGES, Objective
from optuna_nas.objectives.registry import resolve

__all__ = ["untrained_values"]


def untrained_values(
    drawn: Architecture | nn.Module,
    objectives: Iterable[Objective | str],
    data: LightningDataModule,
    seed: int = 0,
) -> dict[str, float]:
    """Values of a network that need no training, such as zero-cost proxies, by name.

    `functools.partial(untrained_values, objectives=["synflow", "naswot"], data=data)` turns what
    a space returns into features.

    Args:
        drawn: What a space returned.
        objectives: What to measure; objectives or their names.
        data: What it would be trained on.
        seed: Seed of its weights.

    Returns:
        Name -> value; NaN where it is not defined for this network.

    Raises:
        DescriptionError: An unknown name, or an objective that needs training.
    """
    wanted = [resolve(objective) for objective in objectives]
    if late := [objective.name for objective in wanted if objective.stage == STAGES[-1]]:
        raise DescriptionError(
            f"expected objectives of an untrained network, got {', '.join(late)}, which training "
            "tells"
        )
    shape, outputs = datasets.input_shape(data), datasets.outputs(data)
    candidate = Candidate(drawn, shape, outputs, seed=seed, data=data)
    return {objective.name: _value(objective, candidate) for objective in wanted}


def _value(objective: Objective, candidate: Candidate) -> float:
    try:
        return float(objective(candidate).value)
    except MeasurementError:  # what is not defined for a network is a feature too
        return math.nan
