"""Attention: what each pattern sees, and what heads, groups and rotations promise."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import elu

from optuna_nas.blocks import Attention
from optuna_nas.blocks.attention import Rotary
from optuna_nas.blocks.pattern import CHUNK, PATTERNS, make_pattern
from optuna_nas.exceptions import SpaceError

SIZES = {"heads": 2, "dimension": 4}


def attend(name: str, length: int, causal: bool, window: int = 3, stride: int = 3) -> nn.Module:
    return make_pattern(name, length, window, stride, causal).double()


def noise(length: int, heads: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(length)
    shape = (3, 2, heads, length, 4)
    q, k, v = torch.randn(shape, generator=generator, dtype=torch.double)
    return q, k, v


def sees(name: str, distance: int, causal: bool, size: int) -> bool:
    """Whether a query sees a key that lies `distance` before it, in words."""
    if causal and distance < 0:
        return False
    if name == "local":
        return abs(distance) < size
    if name == "strided":
        return abs(distance) < size or distance % size == 0
    return True


def by_hand(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~mask, float("-inf"))
    return scores.softmax(-1) @ v


def mask_by_hand(name: str, length: int, causal: bool, size: int) -> Tensor:
    rows = [[sees(name, i - j, causal, size) for j in range(length)] for i in range(length)]
    return torch.tensor(rows)


@given(
    st.sampled_from(["full", "local", "strided"]),
    st.integers(1, 20),
    st.booleans(),
    st.integers(1, 9),
)
def test_a_pattern_is_softmax_under_its_mask(
    name: str, length: int, causal: bool, size: int
) -> None:
    q, k, v = (x.requires_grad_() for x in noise(length))
    found = attend(name, length, causal, size, size)(q, k, v, nn.Identity())
    expected = by_hand(q, k, v, mask_by_hand(name, length, causal, size))
    torch.testing.assert_close(found, expected)
    for gradient in torch.autograd.grad(found.square().sum(), (q, k, v)):
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("length", [1, CHUNK - 1, CHUNK, 2 * CHUNK + 5])
@pytest.mark.parametrize("causal", [False, True])
def test_linear_attention_is_its_formula(length: int, causal: bool) -> None:
    """The sum of phi(q) phi(k) v over what is seen, over that of phi(q) phi(k)."""
    q, k, v = noise(length)
    weights = (elu(q) + 1) @ (elu(k) + 1).mT
    weights = weights * mask_by_hand("full", length, causal, 0)
    expected = weights @ v / weights.sum(-1, keepdim=True)
    found = attend("linear", length, causal)(q, k, v, nn.Identity())
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [5, CHUNK + 3])
@pytest.mark.parametrize("causal", [False, True])
def test_linear_attention_rotates_the_numerator_alone(length: int, causal: bool) -> None:
    q, k, v = noise(length)
    rotate = Rotary(length, 4).double()
    q_features, k_features = elu(q) + 1, elu(k) + 1
    mask = mask_by_hand("full", length, causal, 0)
    above = (rotate(q_features) @ rotate(k_features).mT * mask) @ v
    below = (q_features @ k_features.mT * mask).sum(-1, keepdim=True)
    found = attend("linear", length, causal)(q, k, v, rotate)
    torch.testing.assert_close(found, above / below, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("pattern", "rotary", "context"),
    list(itertools.product(PATTERNS, (False, True), (None, 6))),
)
def test_no_earlier_output_changes_with_a_later_input(
    pattern: str, rotary: bool, context: int | None
) -> None:
    args: dict[str, Any] = {"pattern": pattern, "rotary": rotary, "context": context}
    block = Attention((18, 8), **SIZES, **args, window=3, stride=2, causal=True).double()
    x = torch.randn(2, 18, 8, dtype=torch.double)
    before = block(x)
    for changed in (0, 7, 17):
        other = x.clone()
        other[:, changed] += 1
        after = block(other)
        torch.testing.assert_close(after[:, :changed], before[:, :changed])
        assert not torch.allclose(after[:, changed], before[:, changed])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_context_is_attention_in_each_window_alone(pattern: str) -> None:
    torch.manual_seed(0)
    args: dict[str, Any] = {**SIZES, "pattern": pattern, "window": 3, "stride": 2, "causal": True}
    whole, alone = Attention((12, 8), context=4, rotary=True, **args), Attention((4, 8), **args)
    alone = Attention((4, 8), rotary=True, **args)
    alone.load_state_dict(whole.state_dict())
    x = torch.randn(2, 12, 8)
    parts = [alone(part) for part in x.split(4, 1)]
    torch.testing.assert_close(whole(x), torch.cat(parts, 1))


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 6))
def test_rotary_products_depend_on_the_distance_alone(i: int, j: int, shift: int) -> None:
    rotate = Rotary(16, 6).double()
    q, k = torch.randn(2, 6, dtype=torch.double)
    at = [rotate(x.expand(16, 6)) for x in (q, k)]
    moved = at[0][i + shift] @ at[1][j + shift]
    torch.testing.assert_close(moved, at[0][i] @ at[1][j], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(at[0][i].norm(), q.norm())


def test_rotary_products_differ_with_the_distance() -> None:
    x = Rotary(8, 6)(torch.ones(8, 6))
    assert len({round(float(x[0] @ x[j]), 4) for j in range(8)}) == 8


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("causal", [False, True])
def test_grouped_heads_are_full_heads_with_keys_and_values_in_common(
    pattern: str, causal: bool
) -> None:
    torch.manual_seed(0)
    args: dict[str, Any] = {"pattern": pattern, "window": 3, "causal": causal, "rotary": causal}
    grouped = Attention((9, 8), heads=4, dimension=2, groups=2, **args)
    full = Attention((9, 8), heads=4, dimension=2, groups=4, **args)
    state = grouped.state_dict()
    for name in ("key.weight", "value.weight"):
        state[name] = state[name].view(2, 1, 2, 8).expand(2, 2, 2, 8).reshape(8, 8)
    full.load_state_dict(state)
    x = torch.randn(3, 9, 8)
    torch.testing.assert_close(grouped(x), full(x))


def test_full_attention_is_that_of_torch() -> None:
    torch.manual_seed(0)
    block = Attention((7, 8), heads=2, placement="post")
    reference = nn.MultiheadAttention(8, 2, bias=False, batch_first=True)
    weights = [block.query.weight, block.key.weight, block.value.weight]
    reference.in_proj_weight.data = torch.cat([weight.data for weight in weights])
    reference.out_proj.weight.data = block.project.weight.data
    x = torch.randn(3, 7, 8)
    torch.testing.assert_close(block.transform(x), reference(x, x, x)[0])


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_the_norm_is_before_or_after(norm: str) -> None:
    torch.manual_seed(0)
    pre = Attention((7, 8), **SIZES, norm=norm, placement="pre")
    post = Attention((7, 8), **SIZES, norm=norm, placement="post")
    post.load_state_dict(pre.state_dict())
    x = torch.randn(3, 7, 8)
    torch.testing.assert_close(pre(x), x + pre.transform(pre.norm(x)))
    torch.testing.assert_close(post(x), post.norm(x + post.transform(x)))
    assert type(pre.norm) is {"layer": nn.LayerNorm, "rms": nn.RMSNorm}[norm]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"heads": 3}, r"heads that divide the width 8: \[1, 2, 4, 8\], got 3"),
        ({"heads": 4, "groups": 3}, "groups that divide heads=4, got groups=3"),
        ({"heads": 2, "pattern": "sparse"}, "pattern among .* got 'sparse'"),
        ({"heads": 8, "rotary": True}, "even dimension for rotary=True, got 1"),
        ({"heads": 2, "context": 4}, "context that divides a length of 6, got 4"),
        ({"heads": 2, "window": 0}, "at least 1, got window=0"),
        ({"heads": 2, "norm": "batch"}, "norm among .* got 'batch'"),
        ({"heads": 2, "placement": "both"}, "placement among .* got 'both'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(args: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Attention((6, 8), **args)


def test_it_takes_sequences_alone() -> None:
    with pytest.raises(SpaceError, match=r"sequence of vectors \(T, C\), got \(3, 8, 8\)"):
        Attention((3, 8, 8), heads=1)
