"""The block of ConvNeXt.

Source: Liu et al. 2022, arXiv:2201.03545. Layer scale and stochastic depth, which deep networks
need, are left out.
"""

from __future__ import annotations

from torch import Tensor, nn

from optuna_nas.blocks.block import Block, Shape, register
from optuna_nas.blocks.spatial import channel_mlp, convolved, layers_for, resampling

__all__ = ["ConvNeXt"]


@register("convnext")
class ConvNeXt(Block):
    """Depthwise convolution, layer normalisation, MLP, (B, C_in, H, W) -> (B, C_out, H/s, W/s).

    All of it is added to its input, which other channels or a stride first take through a
    convolution. Signals (B, C_in, L) are taken too; sizes are rounded up.

    Args:
        shape: Shape of the input (C_in, H, W) or (C_in, L).
        channels: Channels of the output.
        kernel: Odd size of the depthwise kernel.
        expand: How many times as many channels the MLP has inside.
        stride: Stride in all directions.
        activation: relu, gelu or silu.

    Raises:
        SpaceError: Arguments that do not fit the input.
    """

    choices = {
        "channels": (32, 64, 96, 128),
        "kernel": (7, 3, 5),
        "expand": (4, 2),
        "stride": (1, 2),
    }

    def __init__(
        self,
        shape: Shape,
        *,
        channels: int,
        kernel: int = 7,
        expand: int = 4,
        stride: int = 1,
        activation: str = "gelu",
    ) -> None:
        super().__init__()
        layers = layers_for(shape, kernel, stride)
        self.channels, self.stride = channels, stride
        self.resample = resampling(shape, channels, stride)
        pad = kernel // 2
        self.depthwise = layers.conv(channels, channels, kernel, padding=pad, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.mlp = channel_mlp(channels, expand, activation)

    def output_shape(self, *shapes: Shape) -> Shape:
        return convolved(shapes[0], self.channels, self.stride)

    def forward(self, x: Tensor) -> Tensor:
        x = self.resample(x)
        y: Tensor = self.mlp(self.norm(self.depthwise(x).movedim(1, -1)))
        return x + y.movedim(-1, 1)
