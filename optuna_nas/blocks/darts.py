"""Operators of DARTS cells beside pooling: separable convolutions, and halving by two halves.

Source: Liu et al. 2018, arXiv:1806.09055, after Zoph et al. 2017, arXiv:1707.07012.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from optuna_nas.blocks.block import Block, Shape, expect_image, register
from optuna_nas.blocks.spatial import convolved
from optuna_nas.exceptions import SpaceError

__all__ = ["DilConv", "FactorizedReduce", "SepConv"]


class _ReLUSeparable(nn.Sequential):
    """ReLU, depthwise and pointwise convolution, batch norm."""

    def __init__(
        self, inside: int, channels: int, kernel: int, stride: int = 1, dilation: int = 1
    ) -> None:
        pad = dilation * (kernel // 2)
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(inside, inside, kernel, stride, pad, dilation, groups=inside, bias=False),
            nn.Conv2d(inside, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )


@register("sep_conv")
class SepConv(Block):
    """ReLU, depthwise, pointwise convolution, batch norm, all of it twice.

    (B, C_in, H, W) -> (B, C_out, ceil(H/s), ceil(W/s)).

    Args:
        shape: Shape of the input (C_in, H, W).
        channels: Channels of the output.
        kernel: Odd size of the square depthwise kernels.
        stride: Stride of the first depthwise convolution in both directions.

    Raises:
        SpaceError: Arguments that do not fit the input.
    """

    choices = {"channels": (16, 32), "kernel": (3, 5), "stride": (1, 2)}

    def __init__(self, shape: Shape, *, channels: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        expect_image(shape, kernel, stride)
        self.channels, self.stride = channels, stride
        self.first = _ReLUSeparable(shape[0], shape[0], kernel, stride)
        self.second = _ReLUSeparable(shape[0], channels, kernel)

    def output_shape(self, *shapes: Shape) -> Shape:
        return convolved(shapes[0], self.channels, self.stride)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(self.first(x))
        return out


@register("dil_conv")
class DilConv(Block):
    """ReLU, dilated depthwise, pointwise convolution, batch norm.

    (B, C_in, H, W) -> (B, C_out, ceil(H/s), ceil(W/s)).

    Args:
        shape: Shape of the input (C_in, H, W).
        channels: Channels of the output.
        kernel: Odd size of the square depthwise kernel.
        stride: Stride of the depthwise convolution in both directions.
        dilation: Distance of the pixels that the kernel reads.

    Raises:
        SpaceError: Arguments that do not fit the input.
    """

    choices = {"channels": (16, 32), "kernel": (3, 5), "stride": (1, 2), "dilation": (2, 3)}

    def __init__(
        self, shape: Shape, *, channels: int, kernel: int = 3, stride: int = 1, dilation: int = 2
    ) -> None:
        super().__init__()
        expect_image(shape, kernel, stride)
        if dilation < 1:
            raise SpaceError(f"expected a dilation of at least 1, got dilation={dilation}")
        self.channels, self.stride = channels, stride
        self.separable = _ReLUSeparable(shape[0], channels, kernel, stride, dilation)

    def output_shape(self, *shapes: Shape) -> Shape:
        return convolved(shapes[0], self.channels, self.stride)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.separable(x)
        return out


@register("factorized_reduce")
class FactorizedReduce(Block):
    """ReLU, then half the channels of every second pixel, half of the pixels between, batch norm.

    (B, C_in, H, W) -> (B, C_out, ceil(H/2), ceil(W/2)); beyond an odd edge there are zeros.

    Args:
        shape: Shape of the input (C_in, H, W), of at least 2 x 2 pixels.
        channels: Channels of the output, at least 2.

    Raises:
        SpaceError: Arguments that do not fit the input.
    """

    choices = {"channels": (16, 33)}

    def __init__(self, shape: Shape, *, channels: int) -> None:
        super().__init__()
        expect_image(shape, 1, 1)
        if min(shape[1:]) < 2 or channels < 2:
            raise SpaceError(
                "expected at least 2 x 2 pixels and channels=2 to be halved, got an input of "
                f"{shape[1]} x {shape[2]} pixels and channels={channels}"
            )
        self.activation = nn.ReLU()
        self.even = nn.Conv2d(shape[0], channels // 2, 1, 2, bias=False)
        self.odd = nn.Conv2d(shape[0], channels - channels // 2, 1, 2, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def output_shape(self, *shapes: Shape) -> Shape:
        return convolved(shapes[0], self.norm.num_features, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(x)
        between = x[:, :, 1:, 1:]
        edge = (0, x.shape[3] % 2, 0, x.shape[2] % 2)  # smaller images than it was built for
        if any(edge):
            between = nn.functional.pad(between, edge)
        out: Tensor = self.norm(torch.cat((self.even(x), self.odd(between)), dim=1))
        return out
