"""Operators of DARTS cells: what they refuse, and what they compute."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from optuna_nas.blocks import BLOCKS, FactorizedReduce, Truncate
from optuna_nas.exceptions import SpaceError


@pytest.mark.parametrize(
    ("kind", "shape", "args", "message"),
    [
        ("sep_conv", (8,), {}, r"shape \(C, H, W\), got \(8,\)"),
        ("sep_conv", (8, 4, 4), {"kernel": 2}, "odd kernel, got kernel=2"),
        ("dil_conv", (8, 1, 1), {"stride": 2}, "stride of 1 to 1 .* got stride=2"),
        ("dil_conv", (8, 4, 4), {"dilation": 0}, "dilation of at least 1, got dilation=0"),
        ("factorized_reduce", (8, 4), {}, r"shape \(C, H, W\), got \(8, 4\)"),
        ("factorized_reduce", (8, 4, 1), {}, "at least 2 x 2 pixels .* 4 x 1 pixels"),
        ("factorized_reduce", (8, 4, 4), {"channels": 1}, "got .* channels=1"),
        ("truncate", (8, 4, 4), {"channels": 9}, "1 to 8 channels, got channels=9"),
        ("truncate", (8, 4, 4), {"channels": 0}, "1 to 8 channels, got channels=0"),
    ],
)
def test_refuses_what_does_not_fit(
    kind: str, shape: tuple[int, ...], args: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        BLOCKS[kind](shape, **{"channels": 8, **args})


@pytest.mark.parametrize(("kind", "reach"), [("sep_conv", 2), ("dil_conv", 2)])
def test_reads_as_far_as_published(kind: str, reach: int) -> None:
    """Kernel 3 twice, and kernel 3 with every second pixel, both see 5 x 5 pixels."""
    block = BLOCKS[kind]((1, 9, 9), channels=1).eval()
    x = torch.ones(1, 1, 9, 9, requires_grad=True)
    for weight in (p for p in block.parameters() if p.dim() == 4):
        torch.nn.init.ones_(weight)
    block(x)[0, 0, 4, 4].backward()
    seen = x.grad[0, 0].nonzero()
    assert seen.min() == 4 - reach and seen.max() == 4 + reach
    assert len(seen) == (25 if kind == "sep_conv" else 9)


@pytest.mark.parametrize("sides", [(4, 6), (5, 6), (5, 7)])
def test_halving_keeps_pixels_of_both_halves(sides: tuple[int, int]) -> None:
    """One channel of the even pixels, one of the odd ones; beyond the edge there is zero."""
    block = FactorizedReduce((1, *sides), channels=2).eval()
    for convolution in (block.even, block.odd):
        torch.nn.init.ones_(convolution.weight)
    x = torch.rand(1, 1, *sides)
    even, odd = block(x)[0]
    padded = torch.nn.functional.pad(x, (0, 1, 0, 1))[0, 0]
    rows, columns = even.shape
    scale = (1 + block.norm.eps) ** -0.5
    torch.testing.assert_close(even, scale * x[0, 0, ::2, ::2])
    torch.testing.assert_close(odd, scale * padded[1::2, 1::2][:rows, :columns])


def test_truncating_keeps_the_first_channels() -> None:
    x = torch.randn(2, 3, 4)
    torch.testing.assert_close(Truncate((3, 4), channels=2)(x), x[:, :2])
