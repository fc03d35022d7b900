"""What ends a network.

Source: global average pooling, Lin et al. 2013, arXiv:1312.4400.
"""

from __future__ import annotations

from torch import Tensor, nn

from optuna_nas.blocks.block import Head, Shape, register

__all__ = ["Classify"]


@register("classify")
class Classify(Head):
    """Global average pooling and a linear layer, (B, C, H, W) or (B, F) -> (B, outputs).

    The outputs are logits of classes, or the values of a regression.

    Args:
        shape: Shape of the input; dimensions after the first are averaged.
        outputs: Features of the output.
    """

    def __init__(self, shape: Shape, *, outputs: int) -> None:
        super().__init__()
        self.spatial = tuple(range(2, len(shape) + 1))
        self.linear = nn.Linear(shape[0], outputs)

    def output_shape(self, *shapes: Shape) -> Shape:
        return (self.linear.out_features,)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x.mean(self.spatial) if self.spatial else x)
        return out
