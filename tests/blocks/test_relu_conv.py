"""What the convolutions of cells refuse, and what they compute."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from optuna_nas.blocks import Reduction, ReLUConv
from optuna_nas.exceptions import SpaceError


@pytest.mark.parametrize(
    ("shape", "args", "message"),
    [
        ((8,), {}, r"shape \(C, H, W\), got \(8,\)"),
        ((8, 4, 4), {"kernel": 4}, "odd kernel, got kernel=4"),
        ((8, 1, 1), {"stride": 2}, "stride of 1 to 1 .* got stride=2"),
        ((8, 4, 4), {"dilation": 0}, "dilation of at least 1, got dilation=0"),
    ],
)
def test_refuses_what_does_not_fit(
    shape: tuple[int, ...], args: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        ReLUConv(shape, channels=8, **args)


def test_the_activation_comes_first() -> None:
    block, x = ReLUConv((4, 5, 5), channels=4).eval(), torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(block(x), block(x.relu()))
    assert (block(x) < 0).any()


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_dilation_keeps_the_size(dilation: int) -> None:
    block = ReLUConv((2, 7, 8), channels=4, dilation=dilation)
    assert block(torch.zeros(2, 2, 7, 8)).shape == (2, 4, 7, 8)


def test_a_reduction_adds_the_mean_of_each_four_pixels() -> None:
    block, x = Reduction((3, 4, 6), channels=5).eval(), torch.randn(2, 3, 4, 6)
    torch.nn.init.zeros_(block.second.norm.weight)
    means = x.unflatten(3, (3, 2)).unflatten(2, (2, 2)).mean((3, 5))
    torch.testing.assert_close(block(x), block.shortcut(means))
