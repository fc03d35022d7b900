"""The cell of the paper that is like Inception, three times a stack."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from optuna_nas.architecture import Architecture
from optuna_nas.bench.written._parts import classifier, convolution
from optuna_nas.spaces import MatrixCell, NASBench101

__all__ = ["INPUT_SHAPE", "OUTPUTS", "architecture", "module"]

INPUT_SHAPE = (3, 32, 32)
OUTPUTS = 10
EDGES = ((0, 1), (0, 2), (0, 3), (0, 5), (1, 6), (2, 6), (3, 4), (4, 6), (5, 6))
OPS = (
    "input",
    "conv1x1-bn-relu",
    "conv3x3-bn-relu",
    "conv3x3-bn-relu",
    "conv3x3-bn-relu",
    "maxpool3x3",
    "output",
)


def architecture() -> Architecture:
    """The network of the cell as it is published."""
    return NASBench101().architecture(MatrixCell.of(EDGES, OPS), as_written=True)


def module() -> nn.Module:
    """The same, as a sequence of cells and halvings."""
    layers: list[nn.Module] = [convolution(3, 16, 3)]
    incoming = 16
    for channels in (16, 32, 64):
        layers += [nn.MaxPool2d(2)] if channels > 16 else []
        for _ in range(3):
            layers.append(_Cell(incoming, channels))
            incoming = channels
    return nn.Sequential(*layers, *classifier(incoming, OUTPUTS))


class _Cell(nn.Module):
    """Four branches of a quarter of the channels."""

    def __init__(self, incoming: int, channels: int) -> None:
        super().__init__()
        width = channels // 4
        self.branches = nn.ModuleList(
            nn.Sequential(convolution(incoming, width, 1), *rest)
            for rest in (
                [convolution(width, width, 1)],
                [convolution(width, width, 3)],
                [convolution(width, width, 3), convolution(width, width, 3)],
                [nn.MaxPool2d(3, 1, 1)],
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)
