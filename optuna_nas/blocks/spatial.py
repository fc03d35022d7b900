"""Layers over positions: those of a signal (C, L), or those of an image (C, H, W).

The rank of the shape that reaches a block picks its layers, here and nowhere else.

Source: strided convolution and normalisation between stages, "overlapping patch embedding", Wang
et al. 2021, arXiv:2106.13797.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from optuna_nas.blocks.activation import activation as _activation
from optuna_nas.blocks.block import Shape, expect_window
from optuna_nas.blocks.twin import layer
from optuna_nas.exceptions import SpaceError

__all__ = [
    "ChannelNorm",
    "Layers",
    "channel_mlp",
    "convolved",
    "layers_for",
    "resampling",
]


class Layers(NamedTuple):
    """The layers for one rank of input.

    Args:
        conv: Convolution.
        norm: Batch normalisation.
        pool: Adaptive average pooling.
    """

    conv: Callable[..., nn.Conv1d | nn.Conv2d]
    norm: Callable[..., nn.BatchNorm1d | nn.BatchNorm2d]
    pool: Callable[..., nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d]


_LAYERS = {
    2: Layers(partial(layer, nn.Conv1d), partial(layer, nn.BatchNorm1d), nn.AdaptiveAvgPool1d),
    3: Layers(partial(layer, nn.Conv2d), partial(layer, nn.BatchNorm2d), nn.AdaptiveAvgPool2d),
}


def layers_for(shape: Shape, kernel: int = 1, stride: int = 1) -> Layers:
    """Layers for an input of this shape, in which a window with 'same' padding must fit.

    Raises:
        SpaceError: Neither a signal (C, L) nor an image (C, H, W), an even kernel, or a stride
            that leaves no pixel.
    """
    if len(shape) not in _LAYERS:
        raise SpaceError(f"expected an input of shape (C, L) or (C, H, W), got {tuple(shape)}")
    expect_window(shape, kernel, stride)
    return _LAYERS[len(shape)]


def convolved(shape: Shape, channels: int, stride: int) -> Shape:
    """Shape (channels, ceil(H/s), ceil(W/s)) that a convolution with 'same' padding returns."""
    return (channels, *(-(-pixels // stride) for pixels in shape[1:]))


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each position, (B, C, ...) -> (B, C, ...)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def resampling(shape: Shape, channels: int, stride: int) -> nn.Module:
    """Convolution and normalisation to other channels or fewer positions; or nothing at all.

    Args:
        shape: Shape of the input (C_in, H, W) or (C_in, L).
        channels: Channels of the output.
        stride: Stride in all directions.

    Returns:
        A module (B, C_in, H, W) -> (B, channels, ceil(H/s), ceil(W/s)).
    """
    if stride == 1 and shape[0] == channels:
        return nn.Identity()
    pad = stride // 2
    conv = layers_for(shape).conv(shape[0], channels, 2 * pad + 1, stride, pad)
    return nn.Sequential(conv, ChannelNorm(channels))


def channel_mlp(channels: int, expand: int, activation: str) -> nn.Sequential:
    """Two linear layers over the channels of each position, (B, ..., C) -> (B, ..., C).

    Raises:
        SpaceError: An unknown activation, or nothing to expand to.
    """
    if expand < 1:
        raise SpaceError(f"expected expand of at least 1, got expand={expand}")
    wide = expand * channels
    return nn.Sequential(
        nn.Linear(channels, wide), _activation(activation), nn.Linear(wide, channels)
    )
