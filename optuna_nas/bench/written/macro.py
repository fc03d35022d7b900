"""A stage of each kind: convolutions, inverted residuals, ConvNeXt, attention."""

from __future__ import annotations

from typing import Any

from optuna.trial import FixedTrial
from torch import Tensor, nn

from optuna_nas.architecture import Architecture
from optuna_nas.bench.written._parts import (
    ConvNeXt,
    ImageAttention,
    InvertedResidual,
    classifier,
    convolution,
    resample,
)
from optuna_nas.spaces import Macro

__all__ = ["INPUT_SHAPE", "OUTPUTS", "architecture", "module"]

INPUT_SHAPE = (3, 32, 32)
OUTPUTS = 10
STAGES: tuple[dict[str, Any], ...] = (
    {"downsample": True, "operator": "conv", "conv.kernel": 3, "conv.squeeze": False},
    {
        "downsample": True,
        "operator": "mbconv",
        "mbconv.kernel": 5,
        "mbconv.expand_index": 1,
        "mbconv.squeeze": True,
    },
    {"downsample": True, "operator": "convnext", "convnext.kernel": 7, "convnext.ratio": 4},
    {
        "downsample": False,
        "operator": "image_attention",
        "image_attention.heads_index": 1,
        "image_attention.ratio": 2,
    },
)


def architecture() -> Architecture:
    """Two blocks a stage, of 32, 64, 96 and 128 channels."""
    params: dict[str, Any] = {"stem.downsample": False}
    for number, stage in enumerate(STAGES, start=1):
        given = {"depth": 2, "width": 32 * number, **stage}
        params |= {f"stage{number}.{name}": value for name, value in given.items()}
    return Macro()(FixedTrial(params))


def module() -> nn.Module:
    """The same, block by block."""
    return nn.Sequential(
        convolution(3, 32, 3),
        convolution(32, 32, 3, stride=2),
        _Residual(32),
        InvertedResidual(32, 64, expand=4, kernel=5, stride=2, squeeze=True),
        InvertedResidual(64, 64, expand=4, kernel=5, stride=1, squeeze=True),
        resample(64, 96, kernel=3, stride=2),
        ConvNeXt(96, kernel=7, ratio=4),
        ConvNeXt(96, kernel=7, ratio=4),
        resample(96, 128, kernel=1),
        ImageAttention(128, heads=4, ratio=2),
        ImageAttention(128, heads=4, ratio=2),
        convolution(128, 256, 1),
        *classifier(256, OUTPUTS),
    )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = (x + self.norm(self.conv(x))).relu()
        return out
