"""The second-order cells of the paper, DARTS_V2, in a network of eight layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from optuna_nas.architecture import Architecture
from optuna_nas.spaces import DARTS, Genotype

__all__ = ["INPUT_SHAPE", "OUTPUTS", "architecture", "module"]

INPUT_SHAPE = (3, 32, 32)
OUTPUTS = 10
LAYERS = 8
NORMAL = (
    ("sep_conv_3x3", 0),
    ("sep_conv_3x3", 1),
    ("sep_conv_3x3", 0),
    ("sep_conv_3x3", 1),
    ("sep_conv_3x3", 1),
    ("skip_connect", 0),
    ("skip_connect", 0),
    ("dil_conv_3x3", 2),
)
REDUCE = (
    ("max_pool_3x3", 0),
    ("max_pool_3x3", 1),
    ("skip_connect", 2),
    ("max_pool_3x3", 1),
    ("max_pool_3x3", 0),
    ("skip_connect", 2),
    ("skip_connect", 2),
    ("max_pool_3x3", 1),
)


def architecture() -> Architecture:
    """The network of the genotype."""
    return DARTS(layers=LAYERS).architecture(Genotype.of(NORMAL, REDUCE))


def module() -> nn.Module:
    """The same, as a stem and a list of cells."""
    return _Network()


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        channels, before, last, reduced = 16, 48, 48, False
        self.stem = nn.Sequential(nn.Conv2d(3, 48, 3, padding=1, bias=False), nn.BatchNorm2d(48))
        self.cells = nn.ModuleList()
        for layer in range(LAYERS):
            reduction = layer in (LAYERS // 3, 2 * LAYERS // 3)
            channels *= 2 if reduction else 1
            cell = _Reduction if reduction else _Normal
            self.cells.append(cell(before, last, channels, reduced))
            before, last, reduced = last, 4 * channels, reduction
        self.linear = nn.Linear(last, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        before = last = self.stem(x)
        for cell in self.cells:
            before, last = last, cell(before, last)
        out: Tensor = self.linear(last.mean((2, 3)))
        return out


class _Cell(nn.Module):
    def __init__(self, before: int, last: int, channels: int, reduced: bool) -> None:
        super().__init__()
        self.first = _Halving(before, channels) if reduced else _pointwise(before, channels)
        self.second = _pointwise(last, channels)


class _Normal(_Cell):
    """The node that dilates comes second: the order of nodes has no meaning."""

    def __init__(self, before: int, last: int, channels: int, reduced: bool) -> None:
        super().__init__(before, last, channels, reduced)
        self.separable2 = nn.ModuleList(_separable(channels) for _ in range(2))
        self.dilated3 = _depthwise(channels, dilation=2)
        self.separable4 = nn.ModuleList(_separable(channels) for _ in range(2))
        self.separable5 = _separable(channels)

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        x, y = self.first(before), self.second(last)
        node2 = self.separable2[0](x) + self.separable2[1](y)
        node3 = self.dilated3(node2) + x
        node4 = self.separable4[0](x) + self.separable4[1](y)
        node5 = self.separable5(y) + x
        return torch.cat((node2, node3, node4, node5), dim=1)


class _Reduction(_Cell):
    def __init__(self, before: int, last: int, channels: int, reduced: bool) -> None:
        super().__init__(before, last, channels, reduced)
        self.pool = nn.MaxPool2d(3, 2, 1)

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        x, y = self.first(before), self.second(last)
        node2 = self.pool(x) + self.pool(y)
        node3 = self.pool(x) + node2
        node4 = self.pool(y) + node2
        node5 = self.pool(y) + node2
        return torch.cat((node2, node3, node4, node5), dim=1)


class _Halving(nn.Module):
    def __init__(self, incoming: int, channels: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(incoming, channels // 2, 1, 2, bias=False)
        self.odd = nn.Conv2d(incoming, channels // 2, 1, 2, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x.relu()
        out: Tensor = self.norm(torch.cat((self.even(x), self.odd(x[:, :, 1:, 1:])), dim=1))
        return out


def _pointwise(incoming: int, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(), nn.Conv2d(incoming, channels, 1, bias=False), nn.BatchNorm2d(channels)
    )


def _separable(channels: int) -> nn.Module:
    return nn.Sequential(_depthwise(channels), _depthwise(channels))


def _depthwise(channels: int, dilation: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, 1, dilation, dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    )
