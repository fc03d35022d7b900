"""Fully connected layers.

Source: batch normalisation, Ioffe and Szegedy 2015, arXiv:1502.03167; layer normalisation, Ba et
al. 2016, arXiv:1607.06450; dropout, Srivastava et al. 2014, jmlr.org/papers/v15/srivastava14a.
"""

from __future__ import annotations

from math import prod

from torch import Tensor, nn

from optuna_nas.blocks.activation import activation as _activation
from optuna_nas.blocks.block import Block, Shape, register
from optuna_nas.exceptions import SpaceError

__all__ = ["NORMS", "Linear"]

NORMS: dict[str, type[nn.Module]] = {
    "none": nn.Identity,
    "batch": nn.BatchNorm1d,
    "layer": nn.LayerNorm,
}


@register("linear")
class Linear(Block):
    """Linear layer, normalisation, activation, dropout, (B, ...) -> (B, features).

    Args:
        shape: Shape of the input; more than one dimension is flattened.
        features: Features of the output.
        norm: none, batch or layer.
        activation: relu, gelu or silu.
        dropout: Probability of dropping a feature, from 0 up to but not including 1.

    Raises:
        SpaceError: An unknown norm or activation, or a dropout out of range.
    """

    choices = {
        "features": (128, 256, 512, 1024),
        "norm": ("none", "batch", "layer"),
        "activation": ("relu", "gelu", "silu"),
        "dropout": (0.0, 0.1, 0.2, 0.3),
    }

    def __init__(
        self,
        shape: Shape,
        *,
        features: int,
        norm: str = "none",
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise SpaceError(f"expected a norm among {sorted(NORMS)}, got {norm!r}")
        if not 0 <= dropout < 1:
            raise SpaceError(f"expected 0 <= dropout < 1, got dropout={dropout}")
        self.flat = len(shape) == 1
        self.linear = nn.Linear(prod(shape), features, bias=norm == "none")
        self.norm = NORMS[norm](features)
        self.activation = _activation(activation)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def output_shape(self, *shapes: Shape) -> Shape:
        return (self.linear.out_features,)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.linear(x if self.flat else x.flatten(1)))
        out: Tensor = self.dropout(self.activation(y))
        return out
