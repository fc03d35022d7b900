"""What every block is, and the registry that finds a block by its kind."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from optuna_nas.exceptions import SpaceError
from optuna_nas.names import registrar

__all__ = ["BLOCKS", "Block", "Head", "Shape", "expect_image", "expect_window", "find", "register"]

Shape = tuple[int, ...]
"""Shape of one sample, without the batch dimension: (C, H, W), (C, L) or (F,)."""


class Block(nn.Module):
    """One node of an architecture as a module.

    A block is constructed from the shapes of its inputs and the arguments of its node,
    `Conv((3, 32, 32), channels=64)`, and learns from the shapes what it does not have to be told.

    Args:
        *shapes: Shape of one sample of each input.
        **args: Arguments of the node; JSON values only.
    """

    choices: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Usual values of each argument, as plain data."""

    input_dtype: ClassVar[torch.dtype | None] = None
    """Of its inputs, where they are no floats: `torch.long` for token ids."""

    constant: ClassVar[bool] = False
    """Whether its output is the same for every input."""

    def __init__(self, *shapes: Shape, **args: Any) -> None:
        super().__init__()

    def output_shape(self, *shapes: Shape) -> Shape:
        """Shape of one sample of the output, for the shapes that the block was constructed from.

        By default found by a run on the meta device, which costs milliseconds; a formula does not.
        """
        with torch.device("meta"), torch.no_grad():
            result = deepcopy(self).to("meta")(*self.example(2, *shapes))
        return tuple(result.shape[1:])

    def example(self, batch: int, *shapes: Shape) -> list[Tensor]:
        """Zeros (B, ...) for each input, on torch's default device."""
        return [torch.zeros(batch, *shape, dtype=self.input_dtype) for shape in shapes]


class Head(Block):
    """A block that ends a network: `build` tells it the number of `outputs`."""


BLOCKS: dict[str, type[Block]] = {}
"""Kind of node -> block that builds it."""

register = registrar("kind of block", BLOCKS)
"""Decorator `register(kind)`: makes a block class the builder of nodes of this kind."""


def find(kind: str) -> type[Block]:
    """Return the block class registered for a kind of node.

    Raises:
        SpaceError: No block has this kind.
    """
    if kind not in BLOCKS:
        raise SpaceError(f"expected a kind of block among {sorted(BLOCKS)}, got {kind!r}")
    return BLOCKS[kind]


def expect_image(shape: Shape, kernel: int, stride: int) -> None:
    """Check that a window with 'same' padding fits an input (C, H, W).

    Raises:
        SpaceError: Not an image, an even kernel, or a stride that leaves no pixel.
    """
    if len(shape) != 3:
        raise SpaceError(f"expected an input of shape (C, H, W), got {tuple(shape)}")
    expect_window(shape, kernel, stride)


def expect_window(shape: Shape, kernel: int, stride: int) -> None:
    """Check that a window with 'same' padding fits an input (C, ...) of any rank.

    Raises:
        SpaceError: An even kernel, or a stride that leaves no pixel.
    """
    if kernel < 1 or kernel % 2 == 0:
        raise SpaceError(f"expected an odd kernel, got kernel={kernel}")
    if not 1 <= stride <= max(shape[1:]):
        raise SpaceError(
            f"expected a stride of 1 to {max(shape[1:])} for an input of "
            f"{' x '.join(map(str, shape[1:]))} pixels, got stride={stride}; "
            "use fewer strides or larger inputs"
        )
