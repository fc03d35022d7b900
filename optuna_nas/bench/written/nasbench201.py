"""A cell with every operator, five times a stage."""

from __future__ import annotations

from torch import Tensor, nn

from optuna_nas.architecture import Architecture
from optuna_nas.bench.written._parts import classifier
from optuna_nas.spaces import NASBench201

__all__ = ["INPUT_SHAPE", "OUTPUTS", "architecture", "module"]

INPUT_SHAPE = (3, 32, 32)
OUTPUTS = 10


def architecture() -> Architecture:
    """The network of the benchmark."""
    return NASBench201().architecture(
        "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    )


def module() -> nn.Module:
    """The same, as a sequence of cells and residual blocks."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)]
    for channels in (16, 32, 64):
        if channels > 16:
            layers.append(_Reduction(channels // 2, channels))
        layers += [_Cell(channels) for _ in range(5)]
    return nn.Sequential(*layers, nn.BatchNorm2d(64), nn.ReLU(), *classifier(64, OUTPUTS))


def _convolution(incoming: int, channels: int, kernel: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(incoming, channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
    )


class _Cell(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, 3)
        self.second = _convolution(channels, channels, 1)
        self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        self.third = _convolution(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        out: Tensor = x + self.pool(y) + self.third(self.second(y))
        return out


class _Reduction(nn.Module):
    def __init__(self, incoming: int, channels: int) -> None:
        super().__init__()
        self.first = _convolution(incoming, channels, 3, 2)
        self.second = _convolution(channels, channels, 3)
        self.pool = nn.AvgPool2d(2)
        self.shortcut = nn.Conv2d(incoming, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(self.pool(x)) + self.second(self.first(x))
        return out
