"""What attention and feed-forward blocks share: a residual connection and where it is normalised.

Source: normalisation after the sum, Vaswani et al. 2017, arXiv:1706.03762; before the block, Xiong
et al. 2020, arXiv:2002.04745; RMSNorm, Zhang and Sennrich 2019, arXiv:1910.07467.
"""

from __future__ import annotations

import abc

from torch import Tensor, nn

from optuna_nas.blocks.block import Block, Shape
from optuna_nas.exceptions import SpaceError

__all__ = ["PLACEMENTS", "Sublayer", "expect_one_of", "expect_sequence", "sequence_norm"]

PLACEMENTS = ("pre", "post")
NORMS: dict[str, type[nn.Module]] = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}


class Sublayer(Block):
    """A residual connection around `transform`, (B, T, C) -> (B, T, C).

    Args:
        shape: Shape of the input (T, C).
        norm: layer or rms.
        placement: Normalise before `transform` (pre), or the sum after it (post).

    Raises:
        SpaceError: Not a sequence, an unknown norm or placement.
    """

    def __init__(self, shape: Shape, *, norm: str = "layer", placement: str = "pre") -> None:
        super().__init__()
        expect_sequence(shape)
        expect_one_of("placement", placement, PLACEMENTS)
        self.norm = sequence_norm(norm, shape[1])
        self.pre = placement == "pre"

    @abc.abstractmethod
    def transform(self, x: Tensor) -> Tensor:
        """What is added to the input, (B, T, C) -> (B, T, C)."""

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def forward(self, x: Tensor) -> Tensor:
        if self.pre:
            return x + self.transform(self.norm(x))
        out: Tensor = self.norm(x + self.transform(x))
        return out


def expect_sequence(shape: Shape) -> None:
    """Check that an input is a sequence of vectors (T, C).

    Raises:
        SpaceError: It is not.
    """
    if len(shape) != 2:
        raise SpaceError(f"expected a sequence of vectors (T, C), got {tuple(shape)}")


def expect_one_of(argument: str, value: str, legal: tuple[str, ...]) -> None:
    """Check an option.

    Raises:
        SpaceError: It is not legal.
    """
    if value not in legal:
        raise SpaceError(f"expected {argument} among {legal}, got {value!r}")


def sequence_norm(name: str, width: int) -> nn.Module:
    """Return a normalisation of vectors (..., width).

    Raises:
        SpaceError: An unknown name.
    """
    expect_one_of("norm", name, tuple(NORMS))
    return NORMS[name](width)
