"""Convolutions of cells: the activation comes first, so that what joins in a sum is linear.

Source: NAS-Bench-201, Dong and Yang 2020, arXiv:2001.00326; the order ReLU, convolution, batch
norm is that of DARTS, Liu et al. 2018, arXiv:1806.09055.
"""

from __future__ import annotations

from torch import Tensor, nn

from optuna_nas.blocks.block import Block, Shape, expect_image, register
from optuna_nas.blocks.spatial import convolved
from optuna_nas.exceptions import SpaceError

__all__ = ["ReLUConv", "Reduction"]


@register("relu_conv")
class ReLUConv(Block):
    """ReLU, convolution, batch norm, (B, C_in, H, W) -> (B, C_out, ceil(H/s), ceil(W/s)).

    Args:
        shape: Shape of the input (C_in, H, W).
        channels: Channels of the output.
        kernel: Odd size of the square kernel.
        stride: Stride in both directions.
        dilation: Distance of the pixels that the kernel reads.

    Raises:
        SpaceError: Arguments that do not fit the input.
    """

    choices = {"channels": (16, 32, 64), "kernel": (3, 1, 5), "stride": (1, 2), "dilation": (1, 2)}

    def __init__(
        self, shape: Shape, *, channels: int, kernel: int = 3, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        expect_image(shape, kernel, stride)
        if dilation < 1:
            raise SpaceError(f"expected a dilation of at least 1, got dilation={dilation}")
        pad = dilation * (kernel // 2)
        self.activation = nn.ReLU()
        self.conv = nn.Conv2d(shape[0], channels, kernel, stride, pad, dilation, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def output_shape(self, *shapes: Shape) -> Shape:
        return convolved(shapes[0], self.conv.out_channels, self.conv.stride[0])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(self.activation(x)))
        return out


@register("reduction")
class Reduction(Block):
    """Residual block that halves the image, (B, C_in, H, W) -> (B, C_out, ceil(H/2), ceil(W/2)).

    Two convolutions 3x3, the first with stride 2; beside them the mean of 2x2 pixels and a
    convolution 1x1 without normalisation.

    Args:
        shape: Shape of the input (C_in, H, W).
        channels: Channels of the output.

    Raises:
        SpaceError: An input that is no image, or a single pixel.
    """

    choices = {"channels": (32, 16, 64)}

    def __init__(self, shape: Shape, *, channels: int) -> None:
        super().__init__()
        self.first = ReLUConv(shape, channels=channels, stride=2)
        self.second = ReLUConv(self.first.output_shape(shape), channels=channels)
        self.pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
        self.shortcut = nn.Conv2d(shape[0], channels, 1, bias=False)

    def output_shape(self, *shapes: Shape) -> Shape:
        return self.first.output_shape(*shapes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(self.pool(x)) + self.second(self.first(x))
        return out
