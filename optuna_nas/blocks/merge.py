"""Several inputs -> one output."""

from __future__ import annotations

import torch
from torch import Tensor

from optuna_nas.blocks.block import Block, Shape, register
from optuna_nas.exceptions import SpaceError

__all__ = ["Add", "Concat"]


@register("add")
class Add(Block):
    """Sum of all inputs, which have one shape: n x (B, ...) -> (B, ...).

    Args:
        *shapes: Shape of each input.

    Raises:
        SpaceError: Inputs of different shapes.
    """

    def __init__(self, *shapes: Shape) -> None:
        super().__init__()
        if len(set(shapes)) != 1:
            raise SpaceError(f"expected inputs of one shape, got {', '.join(map(str, shapes))}")

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            x = x + other
        return x


@register("concat")
class Concat(Block):
    """Channels of all inputs in their order: n x (B, C_i, ...) -> (B, sum of C_i, ...).

    Args:
        *shapes: Shape of each input; they differ in channels alone.

    Raises:
        SpaceError: Inputs that differ in more than their channels.
    """

    def __init__(self, *shapes: Shape) -> None:
        super().__init__()
        if len({shape[1:] for shape in shapes}) != 1:
            raise SpaceError(
                f"expected inputs that differ in channels alone, got {', '.join(map(str, shapes))}"
            )

    def output_shape(self, *shapes: Shape) -> Shape:
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat(inputs, dim=1)
