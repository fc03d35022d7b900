"""What self-attention over positions refuses, and what it computes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import init

from optuna_nas.blocks import ImageAttention
from optuna_nas.exceptions import SpaceError


@pytest.mark.parametrize(
    ("shape", "args", "message"),
    [
        ((8,), {}, r"input of shape \(C, L\) or \(C, H, W\), got \(8,\)"),
        ((8, 4, 4), {"heads": 3}, "heads that divide channels=8, got heads=3"),
        ((8, 4, 4), {"heads": 0}, "heads that divide channels=8, got heads=0"),
        ((8, 1, 1), {}, r"two positions at least to attend to, got \(8, 1, 1\)"),
        ((8, 2), {"stride": 2}, r"two positions at least .* with stride=2"),
        ((8, 4, 4), {"expand": 0}, "expand of at least 1, got expand=0"),
    ],
)
def test_refuses_what_does_not_fit(
    shape: tuple[int, ...], args: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        ImageAttention(shape, **{"channels": 8, "heads": 2, **args})


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_that_of_the_formula(heads: int) -> None:
    """softmax(q k / sqrt(d)) v in each head, over all positions of the normalised input."""
    block = ImageAttention((8, 2, 3), channels=8, heads=heads)
    y = torch.randn(2, 6, 8)
    expected = []
    for part in range(heads):
        own = slice(part * 8 // heads, (part + 1) * 8 // heads)
        q, k, v = (f(y)[..., own] for f in (block.query, block.key, block.value))
        weights = (q @ k.transpose(1, 2) / (8 / heads) ** 0.5).softmax(-1)
        expected.append(weights @ v)
    torch.testing.assert_close(block._attend(y), block.merge(torch.cat(expected, -1)))


@pytest.mark.parametrize("shape", [(4, 5, 3), (4, 9)])
def test_each_position_attends_to_all(shape: tuple[int, ...]) -> None:
    block = ImageAttention(shape, channels=4, heads=2).double()
    x = torch.randn(1, *shape, dtype=torch.double)
    changed = x.clone()
    changed.flatten(2)[..., 0] += 1
    assert (block(x) != block(changed)).any(1).all()


def test_positions_count_by_the_depthwise_convolution_alone() -> None:
    """Without it, permuted positions give permuted outputs; with it they do not."""
    block = ImageAttention((4, 6), channels=4, heads=2).double().eval()
    x, order = torch.randn(1, 4, 6, dtype=torch.double), torch.randperm(6).roll(1)
    assert not torch.allclose(block(x[..., [3, 1, 0, 5, 2, 4]]), block(x)[..., [3, 1, 0, 5, 2, 4]])
    init.zeros_(block.position.weight)
    torch.testing.assert_close(block(x[..., order]), block(x)[..., order])


@pytest.mark.parametrize("pixels", [(2, 1), (5, 7), (9,)])
def test_a_stride_rounds_sizes_up(pixels: tuple[int, ...]) -> None:
    stride = 1 if max(pixels) < 3 else 2
    block = ImageAttention((3, *pixels), channels=8, heads=4, stride=stride)
    expected = (2, 8, *(-(-p // stride) for p in pixels))
    assert block(torch.zeros(2, 3, *pixels)).shape == expected
