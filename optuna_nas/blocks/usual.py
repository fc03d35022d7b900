"""Blocks as they usually are: with their usual arguments, on inputs that they take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from optuna_nas.blocks.block import Block, Head, Shape
from optuna_nas.exceptions import SpaceError

__all__ = ["SHAPES", "usual"]

SHAPES: tuple[tuple[Shape, ...], ...] = (
    ((32, 9, 7),),
    ((32,),),
    ((32, 9, 7), (32, 9, 7)),
    ((32,), (32,), (32,)),
    ((12, 32),),
    ((32, 11),),
)
"""Inputs that are offered to every block; it must accept one of these at least."""


def usual(block: type[Block]) -> Iterator[tuple[Block, tuple[Shape, ...]]]:
    """Construct a block on each of `SHAPES` that it accepts, with each of its choices in turn.

    Yields:
        The block on torch's default device, and the shapes of its inputs.
    """
    for shapes in SHAPES:
        for args in _arguments(block):
            try:
                yield block(*shapes, **args), shapes
            except (SpaceError, TypeError):
                continue


def _arguments(block: type[Block]) -> Iterator[dict[str, Any]]:
    """Each of the block's choices in turn, the others at their first value."""
    first = {name: values[0] for name, values in block.choices.items()}
    first |= {"outputs": 5} if issubclass(block, Head) else {}
    yield first
    for name, values in block.choices.items():
        yield from ({**first, name: value} for value in values[1:])
