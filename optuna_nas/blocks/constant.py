"""What does not depend on its input.

Source: the operator "none" of cells, Liu et al. 2018, arXiv:1806.09055.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from optuna_nas.blocks.block import Block, Head, Shape, register

__all__ = ["Constant", "Zero"]


@register("zero")
class Zero(Block):
    """Zeros, (B, ...) -> (B, ...).

    They come of a multiplication, so that what feeds them receives gradients, of zero.

    Args:
        shape: Shape of the input.
    """

    constant = True

    def __init__(self, shape: Shape) -> None:
        super().__init__()

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def forward(self, x: Tensor) -> Tensor:
        return x * 0.0


@register("constant")
class Constant(Head):
    """One learned answer to every input, (B, ...) -> (B, outputs).

    Args:
        shape: Shape of the input.
        outputs: Features of the output.
    """

    constant = True

    def __init__(self, shape: Shape, *, outputs: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(outputs))

    def output_shape(self, *shapes: Shape) -> Shape:
        return tuple(self.bias.shape)

    def forward(self, x: Tensor) -> Tensor:
        return self.bias.expand(x.shape[0], -1)
