"""The first channels of an input.

Source: NAS-Bench-101, Ying et al. 2019, arXiv:1902.09635, whose vertices may differ by a channel.
"""

from __future__ import annotations

from torch import Tensor

from optuna_nas.blocks.block import Block, Shape, register
from optuna_nas.exceptions import SpaceError

__all__ = ["Truncate"]


@register("truncate")
class Truncate(Block):
    """The first channels, (B, C_in, ...) -> (B, C_out, ...).

    Args:
        shape: Shape of the input (C_in, ...).
        channels: Channels that are kept, at most C_in.

    Raises:
        SpaceError: More channels than there are.
    """

    choices = {"channels": (1, 8)}

    def __init__(self, shape: Shape, *, channels: int) -> None:
        super().__init__()
        if not 1 <= channels <= shape[0]:
            raise SpaceError(f"expected 1 to {shape[0]} channels, got channels={channels}")
        self.channels = channels

    def output_shape(self, *shapes: Shape) -> Shape:
        return (self.channels, *shapes[0][1:])

    def forward(self, x: Tensor) -> Tensor:
        return x[:, : self.channels]
