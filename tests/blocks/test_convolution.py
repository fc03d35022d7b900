"""What convolutions refuse, and what they compute."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from optuna_nas.blocks import BLOCKS
from optuna_nas.exceptions import SpaceError


@pytest.fixture(params=["conv", "separable"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    ("shape", "args", "message"),
    [
        ((8,), {}, r"input of shape \(C, L\) or \(C, H, W\), got \(8,\)"),
        ((8, 4, 4), {"kernel": 4}, "odd kernel, got kernel=4"),
        ((8, 1, 1), {"stride": 2}, "stride of 1 to 1 .* got stride=2"),
        ((8, 4, 4), {"residual": True, "stride": 2}, "got stride=2, channels=8"),
        ((4, 4, 4), {"residual": True}, "channels=8 and 4 channels of input"),
        ((8, 4, 4), {"activation": "tanh"}, "activation among .* got 'tanh'"),
    ],
)
def test_refuses_what_does_not_fit(
    kind: str, shape: tuple[int, ...], args: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        BLOCKS[kind](shape, channels=8, **args)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("pixels", [(1, 1), (2, 3), (7, 8)])
def test_stride_one_keeps_the_size(kind: str, kernel: int, pixels: tuple[int, int]) -> None:
    block = BLOCKS[kind]((2, *pixels), channels=4, kernel=kernel)
    assert block(torch.zeros(2, 2, *pixels)).shape == (2, 4, *pixels)


@pytest.mark.parametrize("squeeze", [False, True])
def test_a_signal_is_an_image_one_pixel_high(kind: str, squeeze: bool) -> None:
    """Computed by kernels of one dimension, which are the middle rows of those of two."""
    args = {"channels": 6, "kernel": 5, "stride": 2, "squeeze": squeeze}
    signal, image = BLOCKS[kind]((4, 11), **args), BLOCKS[kind]((4, 1, 11), **args)
    with torch.no_grad():
        for ours, theirs in zip(signal.parameters(), image.parameters(), strict=True):
            ours.copy_(theirs if theirs.ndim < 4 else theirs[:, :, theirs.shape[2] // 2])
    x = torch.randn(3, 4, 11)
    torch.testing.assert_close(signal(x), image(x[:, :, None])[:, :, 0])


def test_a_residual_adds_the_input(kind: str) -> None:
    block = BLOCKS[kind]((4, 5, 5), channels=4, residual=True).eval()
    torch.nn.init.zeros_(block.norm.weight)
    x = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(block(x), x.relu())
