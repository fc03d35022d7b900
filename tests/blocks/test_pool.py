"""What pooling refuses, and what it computes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from optuna_nas.blocks import Pool
from optuna_nas.exceptions import SpaceError


@pytest.mark.parametrize(
    ("shape", "args", "message"),
    [
        ((8,), {}, r"shape \(C, H, W\), got \(8,\)"),
        ((8, 4, 4), {"kernel": 2}, "odd kernel, got kernel=2"),
        ((8, 1, 1), {"stride": 2}, "stride of 1 to 1 .* got stride=2"),
        ((8, 4, 4), {"mode": "min"}, r"mode among \['avg', 'max'\], got 'min'"),
    ],
)
def test_refuses_what_does_not_fit(
    shape: tuple[int, ...], args: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        Pool(shape, **{"mode": "avg", **args})


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_the_border_does_not_count(mode: str) -> None:
    x = torch.full((1, 2, 5, 4), -3.0)
    torch.testing.assert_close(Pool((2, 5, 4), mode=mode)(x), x)


@pytest.mark.parametrize("sides", [(4, 6), (5, 6), (1, 4)])
def test_windows_that_touch_cover_every_pixel_once(sides: tuple[int, int]) -> None:
    x = torch.rand(1, 1, *sides)
    halved = Pool((1, *sides), mode="max", kernel=2, stride=2)(x)
    padded = torch.nn.functional.pad(x, (0, sides[1] % 2, 0, sides[0] % 2))
    torch.testing.assert_close(halved, torch.nn.functional.max_pool2d(padded, 2))
