"""Self-attention over the positions of an image or a signal.

Source: attention, Vaswani et al. 2017, arXiv:1706.03762; normalisation before each part,
Dosovitskiy et al. 2020, arXiv:2010.11929; after stages of convolutions, Dai et al. 2021,
arXiv:2106.04803. Positions are told by a depthwise convolution, for inputs of any size: Chu et
al. 2021, arXiv:2102.10882.
"""

from __future__ import annotations

from math import prod

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from optuna_nas.blocks.block import Block, Shape, register
from optuna_nas.blocks.spatial import channel_mlp, convolved, layers_for, resampling
from optuna_nas.exceptions import SpaceError

__all__ = ["ImageAttention"]


@register("image_attention")
class ImageAttention(Block):
    """Attention of each position to all, then an MLP, (B, C_in, H, W) -> (B, C_out, H/s, W/s).

    Both are added to their input, which other channels or a stride first take through a
    convolution. Signals (B, C_in, L) are taken too; sizes are rounded up. Work grows with the
    square of the number of positions.

    Args:
        shape: Shape of the input (C_in, H, W) or (C_in, L).
        channels: Channels of the output.
        heads: Heads of the attention, which divide the channels.
        expand: How many times as many channels the MLP has inside.
        stride: Stride in all directions.
        activation: relu, gelu or silu.

    Raises:
        SpaceError: Arguments that do not fit the input, or a single position to attend to.
    """

    choices = {
        "channels": (32, 64, 96, 128),
        "heads": (2, 4, 8),
        "expand": (4, 2),
        "stride": (1, 2),
    }

    def __init__(
        self,
        shape: Shape,
        *,
        channels: int,
        heads: int,
        expand: int = 4,
        stride: int = 1,
        activation: str = "gelu",
    ) -> None:
        super().__init__()
        layers = layers_for(shape, 1, stride)
        self.channels, self.heads, self.stride = channels, heads, stride
        self._expect_heads(shape)
        self.resample = resampling(shape, channels, stride)
        self.position = layers.conv(channels, channels, 3, padding=1, groups=channels)
        self.attention_norm = nn.LayerNorm(channels)
        self.query, self.key, self.value = (
            nn.Linear(channels, channels, bias=False) for _ in range(3)
        )
        self.merge = nn.Linear(channels, channels)
        self.mlp_norm = nn.LayerNorm(channels)
        self.mlp = channel_mlp(channels, expand, activation)

    def output_shape(self, *shapes: Shape) -> Shape:
        return convolved(shapes[0], self.channels, self.stride)

    def forward(self, x: Tensor) -> Tensor:
        x = self.resample(x)
        x = x + self.position(x)
        y: Tensor = x.flatten(2).transpose(1, 2)  # (B, positions, C)
        y = y + self._attend(self.attention_norm(y))
        y = y + self.mlp(self.mlp_norm(y))
        return y.transpose(1, 2).reshape(x.shape)

    def _attend(self, y: Tensor) -> Tensor:
        q, k, v = (
            project(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, positions, D)
            for project in (self.query, self.key, self.value)
        )
        attended = scaled_dot_product_attention(q, k, v)
        merged: Tensor = self.merge(attended.transpose(1, 2).flatten(2))
        return merged

    def _expect_heads(self, shape: Shape) -> None:
        if self.heads < 1 or self.channels % self.heads:
            raise SpaceError(
                f"expected heads that divide channels={self.channels}, got heads={self.heads}"
            )
        if prod(self.output_shape(shape)[1:]) < 2:
            raise SpaceError(
                f"expected two positions at least to attend to, got {tuple(shape)} with "
                f"stride={self.stride}; use fewer strides or larger inputs"
            )
