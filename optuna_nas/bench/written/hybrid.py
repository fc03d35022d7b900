"""Two stages of inverted residuals, then two of attention."""

from __future__ import annotations

from typing import Any

from optuna.trial import FixedTrial
from torch import nn

from optuna_nas.architecture import Architecture
from optuna_nas.bench.written._parts import (
    ImageAttention,
    InvertedResidual,
    classifier,
    convolution,
    resample,
)
from optuna_nas.spaces import Hybrid

__all__ = ["INPUT_SHAPE", "OUTPUTS", "architecture", "module"]

INPUT_SHAPE = (3, 32, 32)
OUTPUTS = 10


def architecture() -> Architecture:
    """Two blocks a stage, of 32, 64, 96 and 128 channels."""
    space = Hybrid(
        convolutional=(2, 2),
        operators=("mbconv",),
        depths=(2, 2),
        expands=(4,),
        kernels=(3,),
        squeeze=(False,),
        heads=(4,),
        ratios=(4,),
    )
    params: dict[str, Any] = {"stem.downsample": True}
    for number in range(1, 5):
        params[f"stage{number}.width"] = 32 * number
        params[f"stage{number}.downsample"] = number in (2, 4)
    return space(FixedTrial(params))


def module() -> nn.Module:
    """The same, block by block."""
    return nn.Sequential(
        convolution(3, 32, 3, stride=2),
        InvertedResidual(32, 32, expand=4, kernel=3, stride=1),
        InvertedResidual(32, 32, expand=4, kernel=3, stride=1),
        InvertedResidual(32, 64, expand=4, kernel=3, stride=2),
        InvertedResidual(64, 64, expand=4, kernel=3, stride=1),
        resample(64, 96, kernel=1),
        ImageAttention(96, heads=4, ratio=4),
        ImageAttention(96, heads=4, ratio=4),
        resample(96, 128, kernel=3, stride=2),
        ImageAttention(128, heads=4, ratio=4),
        ImageAttention(128, heads=4, ratio=4),
        convolution(128, 256, 1),
        *classifier(256, OUTPUTS),
    )
