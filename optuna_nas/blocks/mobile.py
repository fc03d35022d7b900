"""The inverted residual of the MobileNets.

Source: inverted residual with a linear bottleneck, Sandler et al. 2018, arXiv:1801.04381;
squeeze-excitation after its depthwise convolution, Howard et al. 2019, arXiv:1905.02244.
"""

from __future__ import annotations

from torch import Tensor, nn

from optuna_nas.blocks.activation import activation as _activation
from optuna_nas.blocks.block import Block, Shape, register
from optuna_nas.blocks.convolution import SqueezeExcitation, expect_residual
from optuna_nas.blocks.spatial import convolved, layers_for
from optuna_nas.exceptions import SpaceError

__all__ = ["MBConv"]


@register("mbconv")
class MBConv(Block):
    """Widen, filter each channel, narrow, (B, C_in, H, W) -> (B, C_out, ceil(H/s), ceil(W/s)).

    A pointwise convolution widens the input, a depthwise one filters it, and a second pointwise
    one narrows it, with no activation after: what leaves the block is linear. Signals
    (B, C_in, L) are taken too.

    Args:
        shape: Shape of the input (C_in, H, W) or (C_in, L).
        channels: Channels of the output.
        expand: How many times as many channels as the input has are filtered.
        kernel: Odd size of the depthwise kernel.
        stride: Stride of the depthwise convolution in all directions.
        residual: Add the input to the output; needs stride 1 and equal channels.
        squeeze: Gate the channels by squeeze-excitation, after the depthwise convolution.
        activation: relu, gelu or silu; the papers use ReLU6 and hard-swish.

    Raises:
        SpaceError: Arguments that do not fit the input.
    """

    choices = {
        "channels": (32, 16, 24, 48),
        "expand": (3, 4, 6),
        "kernel": (3, 5, 7),
        "stride": (1, 2),
        "residual": (False, True),
        "squeeze": (False, True),
    }

    def __init__(
        self,
        shape: Shape,
        *,
        channels: int,
        expand: int = 6,
        kernel: int = 3,
        stride: int = 1,
        residual: bool = False,
        squeeze: bool = False,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        layers = layers_for(shape, kernel, stride)
        expect_residual(shape, channels, stride, residual)
        if expand < 1:
            raise SpaceError(f"expected expand of at least 1, got expand={expand}")
        self.residual = residual
        wide, pad = expand * shape[0], kernel // 2
        self.expand = layers.conv(shape[0], wide, 1, bias=False)
        self.expand_norm = layers.norm(wide)
        self.expand_activation = _activation(activation)
        self.depthwise = layers.conv(wide, wide, kernel, stride, pad, groups=wide, bias=False)
        self.depthwise_norm = layers.norm(wide)
        self.depthwise_activation = _activation(activation)
        self.squeeze = SqueezeExcitation(layers, wide) if squeeze else nn.Identity()
        self.project = layers.conv(wide, channels, 1, bias=False)
        self.norm = layers.norm(channels)

    def output_shape(self, *shapes: Shape) -> Shape:
        return convolved(shapes[0], self.project.out_channels, self.depthwise.stride[0])

    def forward(self, x: Tensor) -> Tensor:
        y = self.expand_activation(self.expand_norm(self.expand(x)))
        y = self.depthwise_activation(self.depthwise_norm(self.depthwise(y)))
        y = self.norm(self.project(self.squeeze(y)))
        out: Tensor = x + y if self.residual else y
        return out
