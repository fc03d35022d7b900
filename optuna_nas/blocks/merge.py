"""Several inputs -> one output."""

from __future__ import annotations

from torch import Tensor

from optuna_nas.blocks.block import Block, Shape, register
from optuna_nas.exceptions import SpaceError

__all__ = ["Add"]


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
