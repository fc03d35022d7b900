"""What inverted residuals refuse, and what they compute."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from optuna_nas.blocks import MBConv
from optuna_nas.exceptions import SpaceError


@pytest.mark.parametrize(
    ("shape", "args", "message"),
    [
        ((8,), {}, r"input of shape \(C, L\) or \(C, H, W\), got \(8,\)"),
        ((8, 4, 4), {"kernel": 4}, "odd kernel, got kernel=4"),
        ((8, 1, 1), {"stride": 2}, "stride of 1 to 1 .* got stride=2"),
        ((8, 4, 4), {"residual": True, "stride": 2}, "got stride=2, channels=8"),
        ((4, 4, 4), {"residual": True}, "channels=8 and 4 channels of input"),
        ((8, 4, 4), {"expand": 0}, "expand of at least 1, got expand=0"),
        ((8, 4, 4), {"activation": "tanh"}, "activation among .* got 'tanh'"),
    ],
)
def test_refuses_what_does_not_fit(
    shape: tuple[int, ...], args: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        MBConv(shape, channels=8, **args)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("pixels", [(1, 1), (2, 3), (7, 8)])
def test_stride_one_keeps_the_size(kernel: int, pixels: tuple[int, int]) -> None:
    block = MBConv((2, *pixels), channels=4, kernel=kernel)
    assert block(torch.zeros(2, 2, *pixels)).shape == (2, 4, *pixels)


def test_a_residual_adds_the_input_with_no_activation_after() -> None:
    block = MBConv((4, 5, 5), channels=4, residual=True).eval()
    torch.nn.init.zeros_(block.norm.weight)
    x = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(block(x), x)


def test_it_filters_as_many_channels_as_expand_says() -> None:
    block = MBConv((4, 5, 5), channels=8, expand=3, kernel=5)
    assert tuple(block.depthwise.weight.shape) == (12, 1, 5, 5)


@pytest.mark.parametrize("squeeze", [False, True])
def test_its_weights_are_those_of_the_paper(squeeze: bool) -> None:
    """Two pointwise and one depthwise convolution, three norms, and the gate."""
    block = MBConv((16, 8, 8), channels=24, expand=6, kernel=3, squeeze=squeeze)
    wide = 96
    gate = 2 * wide * (wide // 4) + wide // 4 + wide if squeeze else 0
    expected = 16 * wide + 9 * wide + 24 * wide + 2 * (wide + wide + 24) + gate
    assert sum(parameter.numel() for parameter in block.parameters()) == expected
