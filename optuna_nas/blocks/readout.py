"""What ends a network of sequences.

Source: class token, Devlin et al. 2018, arXiv:1810.04805; mean over positions, Zhai et al. 2021,
arXiv:2106.04560; normalisation before the last layer, Xiong et al. 2020, arXiv:2002.04745.
"""

from __future__ import annotations

from torch import Tensor, nn

from optuna_nas.blocks.block import Head, Shape, register
from optuna_nas.blocks.sublayer import expect_one_of, expect_sequence, sequence_norm

__all__ = ["POOLS", "Readout"]

POOLS = ("mean", "first", "each")


@register("readout")
class Readout(Head):
    """Normalisation and a linear layer, (B, T, C) -> (B, outputs) or (B, outputs, T).

    Args:
        shape: Shape of the input (T, C).
        outputs: Logits of classes, or values of a regression.
        pool: One answer a sample from the mean of all positions, or the first one (a class
            token); or one at each position.
        norm: layer, rms or none.

    Raises:
        SpaceError: Not a sequence of vectors, an unknown pool or norm.
    """

    choices = {"pool": POOLS, "norm": ("layer", "rms", "none")}

    def __init__(
        self, shape: Shape, *, outputs: int, pool: str = "mean", norm: str = "layer"
    ) -> None:
        super().__init__()
        expect_sequence(shape)
        expect_one_of("pool", pool, POOLS)
        self.length, self.pool = shape[0], pool
        self.norm = nn.Identity() if norm == "none" else sequence_norm(norm, shape[1])
        self.linear = nn.Linear(shape[1], outputs)

    def output_shape(self, *shapes: Shape) -> Shape:
        outputs = self.linear.out_features
        return (outputs, self.length) if self.pool == "each" else (outputs,)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x[:, 0] if self.pool == "first" else x)
        out: Tensor = self.linear(x.mean(1) if self.pool == "mean" else x)
        return out.transpose(1, 2) if self.pool == "each" else out
