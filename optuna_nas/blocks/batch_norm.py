"""What follows the last sum of a network whose blocks begin with their activation.

Source: pre-activation networks, He et al. 2016, arXiv:1603.05027.
"""

from __future__ import annotations

from torch import Tensor, nn

from optuna_nas.blocks.activation import activation as _activation
from optuna_nas.blocks.block import Block, Shape, expect_image, register

__all__ = ["BatchNorm"]


@register("batch_norm")
class BatchNorm(Block):
    """Batch norm and activation, (B, C, H, W) -> (B, C, H, W).

    Args:
        shape: Shape of the input (C, H, W).
        activation: relu, gelu, silu or none.

    Raises:
        SpaceError: An input that is no image, or an unknown activation.
    """

    choices = {"activation": ("relu", "gelu", "silu", "none")}

    def __init__(self, shape: Shape, *, activation: str = "relu") -> None:
        super().__init__()
        expect_image(shape, kernel=1, stride=1)
        self.norm = nn.BatchNorm2d(shape[0])
        self.activation = _activation(activation)

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.norm(x))
        return out
