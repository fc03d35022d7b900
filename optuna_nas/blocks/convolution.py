"""Convolutions with batch normalisation, plain and depthwise-separable, of images and signals.

Source: residual connections, He et al. 2015, arXiv:1512.03385; depthwise-separable convolution,
Howard et al. 2017, arXiv:1704.04861; squeeze-excitation, Hu et al. 2018, arXiv:1709.01507, with
the reduction of four and the place after the depthwise convolution of Howard et al. 2019,
arXiv:1905.02244.
"""

from __future__ import annotations

from torch import Tensor, nn

from optuna_nas.blocks.activation import activation as _activation
from optuna_nas.blocks.block import Block, Shape, register
from optuna_nas.blocks.spatial import Layers, convolved, layers_for
from optuna_nas.exceptions import SpaceError

__all__ = ["Conv", "Separable", "SqueezeExcitation", "convolved", "expect_residual"]

_CHOICES = {
    "channels": (32, 64, 128, 256),
    "kernel": (3, 5, 7),
    "stride": (1, 2),
    "residual": (False, True),
    "squeeze": (False, True),
}


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate computed from all channels, (B, C, ...) -> (B, C, ...).

    Args:
        layers: Layers for the rank of the input.
        channels: Channels of the input.
        reduction: How many times fewer channels the gate is computed from.
    """

    def __init__(self, layers: Layers, channels: int, reduction: int = 4) -> None:
        super().__init__()
        squeezed = max(1, channels // reduction)
        self.pool = layers.pool(1)
        self.reduce = layers.conv(channels, squeezed, 1)
        self.activation = nn.ReLU()
        self.expand = layers.conv(squeezed, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.activation(self.reduce(self.pool(x)))
        gate: Tensor = self.gate(self.expand(squeezed))
        return x * gate


@register("conv")
class Conv(Block):
    """Convolution, batch norm, activation, (B, C_in, H, W) -> (B, C_out, ceil(H/s), ceil(W/s)).

    Signals (B, C_in, L) are taken too.

    Args:
        shape: Shape of the input (C_in, H, W) or (C_in, L).
        channels: Channels of the output.
        kernel: Odd size of the kernel in all directions.
        stride: Stride in all directions.
        residual: Add the input before the activation; needs stride 1 and equal channels.
        squeeze: Gate the channels by squeeze-excitation, before the input is added.
        activation: relu, gelu or silu.

    Raises:
        SpaceError: Arguments that do not fit the input.
    """

    choices = _CHOICES

    def __init__(
        self,
        shape: Shape,
        *,
        channels: int,
        kernel: int = 3,
        stride: int = 1,
        residual: bool = False,
        squeeze: bool = False,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        layers = layers_for(shape, kernel, stride)
        expect_residual(shape, channels, stride, residual)
        self.residual = residual
        self.conv = layers.conv(shape[0], channels, kernel, stride, kernel // 2, bias=False)
        self.norm = layers.norm(channels)
        self.squeeze = SqueezeExcitation(layers, channels) if squeeze else nn.Identity()
        self.activation = _activation(activation)

    def output_shape(self, *shapes: Shape) -> Shape:
        return convolved(shapes[0], self.conv.out_channels, self.conv.stride[0])

    def forward(self, x: Tensor) -> Tensor:
        y = self.squeeze(self.norm(self.conv(x)))
        out: Tensor = self.activation(x + y if self.residual else y)
        return out


@register("separable")
class Separable(Block):
    """Depthwise, then pointwise convolution, (B, C_in, H, W) -> (B, C_out, ceil(H/s), ceil(W/s)).

    Signals (B, C_in, L) are taken too.

    Args:
        shape: Shape of the input (C_in, H, W) or (C_in, L).
        channels: Channels of the output.
        kernel: Odd size of the depthwise kernel.
        stride: Stride of the depthwise convolution in all directions.
        residual: Add the input before the last activation; needs stride 1 and equal channels.
        squeeze: Gate the channels by squeeze-excitation, after the depthwise convolution.
        activation: relu, gelu or silu.

    Raises:
        SpaceError: Arguments that do not fit the input.
    """

    choices = _CHOICES

    def __init__(
        self,
        shape: Shape,
        *,
        channels: int,
        kernel: int = 3,
        stride: int = 1,
        residual: bool = False,
        squeeze: bool = False,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        layers = layers_for(shape, kernel, stride)
        expect_residual(shape, channels, stride, residual)
        self.residual = residual
        inside, pad = shape[0], kernel // 2
        self.depthwise = layers.conv(
            inside, inside, kernel, stride, pad, groups=inside, bias=False
        )
        self.depthwise_norm = layers.norm(inside)
        self.depthwise_activation = _activation(activation)
        self.squeeze = SqueezeExcitation(layers, inside) if squeeze else nn.Identity()
        self.pointwise = layers.conv(inside, channels, 1, bias=False)
        self.norm = layers.norm(channels)
        self.activation = _activation(activation)

    def output_shape(self, *shapes: Shape) -> Shape:
        return convolved(shapes[0], self.pointwise.out_channels, self.depthwise.stride[0])

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise_activation(self.depthwise_norm(self.depthwise(x)))
        y = self.norm(self.pointwise(self.squeeze(y)))
        out: Tensor = self.activation(x + y if self.residual else y)
        return out


def expect_residual(shape: Shape, channels: int, stride: int, residual: bool) -> None:
    """Check that a residual connection fits a convolution of an input (C, ...).

    Raises:
        SpaceError: A residual beside a stride or another number of channels.
    """
    if residual and (stride != 1 or shape[0] != channels):
        raise SpaceError(
            "expected stride=1 and as many channels as the input has for residual=True, "
            f"got stride={stride}, channels={channels} and {shape[0]} channels of input"
        )
