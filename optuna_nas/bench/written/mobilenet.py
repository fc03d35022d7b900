"""Four stages of inverted residuals, one with squeeze-excitation."""

from __future__ import annotations

from typing import Any

from optuna.trial import FixedTrial
from torch import Tensor, nn

from optuna_nas.architecture import Architecture
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
    layers: list[nn.Module] = [_convolution(3, 16, 3)]
    incoming = 16
    for stage in STAGES:
        stride, width = stage["stride"], stage["width"]
        for _ in range(stage["depth"]):
            layers.append(
                _InvertedResidual(
                    incoming,
                    width,
                    stage["expand"],
                    stage["kernel"],
                    stride,
                    bool(stage["squeeze"]),
                )
            )
            incoming, stride = width, 1
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, OUTPUTS)]
    return nn.Sequential(*layers, _convolution(incoming, 256, 1), *head)


def _convolution(incoming: int, channels: int, kernel: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(incoming, channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


class _InvertedResidual(nn.Module):
    def __init__(
        self, incoming: int, width: int, expand: int, kernel: int, stride: int, squeeze: bool
    ) -> None:
        super().__init__()
        wide = expand * incoming
        self.residual = stride == 1 and incoming == width
        self.expand = _convolution(incoming, wide, 1)
        self.depthwise = nn.Sequential(
            nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
        )
        self.gate = _gate(wide) if squeeze else None
        self.project = nn.Conv2d(wide, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(self.expand(x))
        if self.gate is not None:
            y = y * self.gate(y)
        y = self.norm(self.project(y))
        out: Tensor = x + y if self.residual else y
        return out


def _gate(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(channels, channels // 4, 1),
        nn.ReLU(),
        nn.Conv2d(channels // 4, channels, 1),
        nn.Sigmoid(),
    )
