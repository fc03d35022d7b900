"""What ConvNeXt's block refuses, and what it computes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from optuna_nas.blocks import ConvNeXt
from optuna_nas.exceptions import SpaceError


@pytest.mark.parametrize(
    ("shape", "args", "message"),
    [
        ((8,), {}, r"input of shape \(C, L\) or \(C, H, W\), got \(8,\)"),
        ((8, 4, 4), {"kernel": 4}, "odd kernel, got kernel=4"),
        ((8, 1, 2), {"stride": 3}, "stride of 1 to 2 for an input of 1 x 2 pixels, got stride=3"),
        ((8, 4), {"expand": 0}, "expand of at least 1, got expand=0"),
        ((8, 4, 4), {"activation": "tanh"}, "activation among .* got 'tanh'"),
    ],
)
def test_refuses_what_does_not_fit(
    shape: tuple[int, ...], args: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        ConvNeXt(shape, channels=8, **args)


@pytest.mark.parametrize(
    ("pixels", "stride"),
    [((1, 1), 1), ((2, 3), 2), ((1, 3), 3), ((7, 8), 2), ((7, 8), 3), ((5,), 2), ((5,), 5)],
)
def test_a_stride_rounds_sizes_up(pixels: tuple[int, ...], stride: int) -> None:
    block = ConvNeXt((2, *pixels), channels=4, stride=stride)
    expected = (2, 4, *(-(-p // stride) for p in pixels))
    assert block(torch.zeros(2, 2, *pixels)).shape == expected


def test_its_weights_are_those_of_the_paper() -> None:
    """Depthwise 7x7, normalisation, and an MLP four times as wide, all with biases."""
    block = ConvNeXt((96, 8, 8), channels=96)
    expected = 96 * (49 + 1) + 2 * 96 + 96 * 384 + 384 + 384 * 96 + 96
    assert sum(parameter.numel() for parameter in block.parameters()) == expected


def test_positions_are_mixed_within_the_kernel_only() -> None:
    block = ConvNeXt((4, 9, 9), channels=4, kernel=3).eval()
    x = torch.randn(1, 4, 9, 9)
    changed = x.clone()
    changed[:, :, 4, 4] += 1
    differs = (block(x) != block(changed)).any(1)[0]
    assert differs.nonzero().amin(0).tolist() == [3, 3]
    assert differs.nonzero().amax(0).tolist() == [5, 5]
