"""Pooling of neighbouring pixels.

Source: as operators of cells, Zoph et al. 2017, arXiv:1707.07012; the mean leaves out the
padding, as in NAS-Bench-201, Dong and Yang 2020, arXiv:2001.00326.
"""

from __future__ import annotations

from torch import Tensor, nn

from optuna_nas.blocks.block import Block, Shape, expect_image, register
from optuna_nas.blocks.spatial import convolved
from optuna_nas.exceptions import SpaceError

__all__ = ["Pool"]


@register("pool")
class Pool(Block):
    """Mean or maximum of neighbours, (B, C, H, W) -> (B, C, ceil(H/s), ceil(W/s)).

    Args:
        shape: Shape of the input (C, H, W).
        mode: "avg", of the pixels inside the image alone, or "max".
        kernel: Size of the square window: odd, or that of the stride, for windows that touch.
        stride: Stride in both directions.

    Raises:
        SpaceError: An unknown mode, or arguments that do not fit the input.
    """

    choices = {"mode": ("avg", "max"), "kernel": (3, 5), "stride": (1, 2)}

    def __init__(self, shape: Shape, *, mode: str, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        touching = kernel == stride
        expect_image(shape, 1 if touching else kernel, stride)
        if mode not in ("avg", "max"):
            raise SpaceError(f"expected a mode among ['avg', 'max'], got {mode!r}")
        self.stride, pad = stride, 0 if touching else kernel // 2
        self.pool: nn.Module = (
            nn.MaxPool2d(kernel, stride, pad, ceil_mode=touching)
            if mode == "max"
            else nn.AvgPool2d(kernel, stride, pad, ceil_mode=touching, count_include_pad=False)
        )

    def output_shape(self, *shapes: Shape) -> Shape:
        return convolved(shapes[0], shapes[0][0], self.stride)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pool(x)
        return out
