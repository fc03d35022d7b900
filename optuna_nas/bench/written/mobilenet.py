"""Four stages of inverted residuals, one with squeeze-excitation."""

from __future__ import annotations

from typing import Any

from optuna.trial import FixedTrial
from torch import nn

from optuna_nas.architecture import Architecture
from optuna_nas.bench.written._parts import InvertedResidual, classifier, convolution
from optuna_nas.spaces import MobileNet

__all__ = ["INPUT_SHAPE", "OUTPUTS", "architecture", "module"]

INPUT_SHAPE = (3, 32, 32)
OUTPUTS = 10
STAGES = (
    {"depth": 1, "width": 16, "expand": 3, "kernel": 3, "squeeze": False, "stride": 1},
    {"depth": 2, "width": 24, "expand": 6, "kernel": 3, "squeeze": False, "stride": 2},
    {"depth": 3, "width": 32, "expand": 4, "kernel": 5, "squeeze": True, "stride": 2},
    {"depth": 2, "width": 48, "expand": 6, "kernel": 5, "squeeze": False, "stride": 1},
)


def architecture() -> Architecture:
    """The stages as the space draws them; the stem keeps the size of the image."""
    space = MobileNet(stages=len(STAGES), operators=("mbconv",))
    params: dict[str, Any] = {"stem.downsample": False}
    for number, stage in enumerate(STAGES, start=1):
        params |= {
            f"stage{number}.depth": stage["depth"],
            f"stage{number}.width_index": space.widths.index(stage["width"]),
            f"stage{number}.mbconv.expand_index": space.expands.index(stage["expand"]),
            f"stage{number}.mbconv.kernel": stage["kernel"],
            f"stage{number}.squeeze": stage["squeeze"],
            f"stage{number}.downsample": stage["stride"] == 2,
        }
    return space(FixedTrial(params))


def module() -> nn.Module:
    """The same, as a sequence of blocks."""
    layers: list[nn.Module] = [convolution(3, 16, 3)]
    incoming = 16
    for stage in STAGES:
        expand, kernel, squeeze = stage["expand"], stage["kernel"], bool(stage["squeeze"])
        stride, width = stage["stride"], stage["width"]
        for _ in range(stage["depth"]):
            layers.append(InvertedResidual(incoming, width, expand, kernel, stride, squeeze))
            incoming, stride = width, 1
    return nn.Sequential(*layers, convolution(incoming, 256, 1), *classifier(256, OUTPUTS))
