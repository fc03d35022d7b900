"""Three layers of equal width, for features."""

from __future__ import annotations

from optuna.trial import FixedTrial
from torch import nn

from optuna_nas.architecture import Architecture
from optuna_nas.spaces import MLP

__all__ = ["INPUT_SHAPE", "OUTPUTS", "architecture", "module"]

INPUT_SHAPE = (64,)
OUTPUTS = 10


def architecture() -> Architecture:
    """Three layers of 512 features with batch norm, GELU and dropout of 0.1."""
    space = MLP(layers=(3,), widths=(512,), shared_width=(True,), dropouts=(0.1,))
    return space(FixedTrial({"activation": "gelu", "norm": "batch"}))


def module() -> nn.Module:
    """The same, as a sequence."""
    return nn.Sequential(
        nn.Linear(64, 512, bias=False),
        nn.BatchNorm1d(512),
        nn.GELU(),
        nn.Dropout(0.1),
        nn.Linear(512, 512, bias=False),
        nn.BatchNorm1d(512),
        nn.GELU(),
        nn.Dropout(0.1),
        nn.Linear(512, 512, bias=False),
        nn.BatchNorm1d(512),
        nn.GELU(),
        nn.Dropout(0.1),
        nn.Linear(512, OUTPUTS),
    )
