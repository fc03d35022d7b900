"""Feed-forward layers, dense and routed, and the loss that keeps experts in use."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import gelu, linear, silu

from optuna_nas.blocks import FeedForward, auxiliary_losses
from optuna_nas.blocks.feed_forward import load_balancing_loss
from optuna_nas.exceptions import SpaceError

MIXTURE: dict[str, Any] = {"ratio": 2, "experts": 4, "top_k": 2, "activation": "gelu"}


def test_a_dense_layer_is_two_linear_ones() -> None:
    block = FeedForward((5, 8), ratio=2, activation="gelu")
    x = torch.randn(3, 5, 8)
    expected = linear(gelu(linear(block.norm(x), block.widen[0])), block.narrow[0])
    torch.testing.assert_close(block(x), x + expected)


def test_swiglu_is_a_gate_beside() -> None:
    block = FeedForward((5, 8), ratio=2, activation="swiglu")
    x = torch.randn(3, 5, 8)
    inside = silu(linear(x, block.widen[0])) * linear(x, block.gate[0])
    torch.testing.assert_close(block.transform(x), linear(inside, block.narrow[0]))


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_experts_add_up_by_their_probability(top_k: int) -> None:
    torch.manual_seed(0)
    block = FeedForward((5, 8), **MIXTURE | {"top_k": top_k})
    x = torch.randn(3, 5, 8)
    probabilities = block.router(x).softmax(-1)
    expected = torch.zeros_like(x)
    for sample, position in torch.cartesian_prod(torch.arange(3), torch.arange(5)).tolist():
        at = probabilities[sample, position]
        for expert in at.argsort(descending=True)[:top_k]:
            inside = gelu(block.widen[expert] @ x[sample, position])
            expected[sample, position] += at[expert] * (block.narrow[expert] @ inside)
    torch.testing.assert_close(block.transform(x), expected)


def test_experts_that_are_alike_are_one_dense_layer() -> None:
    """Their probabilities add up to one where all are asked."""
    dense, mixture = FeedForward((5, 8), ratio=2), FeedForward((5, 8), ratio=2, experts=3, top_k=3)
    with torch.no_grad():
        mixture.widen.copy_(dense.widen.expand(3, -1, -1))
        mixture.narrow.copy_(dense.narrow.expand(3, -1, -1))
    x = torch.randn(3, 5, 8)
    torch.testing.assert_close(mixture(x), dense(x))


def test_one_expert_is_a_dense_layer_without_a_router() -> None:
    torch.manual_seed(0)
    one = FeedForward((5, 8), ratio=2, experts=1, top_k=1)
    torch.manual_seed(0)
    dense = FeedForward((5, 8), ratio=2)
    assert one.state_dict().keys() == dense.state_dict().keys()
    x = torch.randn(3, 5, 8)
    torch.testing.assert_close(one(x), dense(x))


@pytest.mark.parametrize("activation", ["relu", "swiglu"])
def test_exported_experts_compute_the_same(activation: str) -> None:
    block = FeedForward((5, 8), **MIXTURE | {"activation": activation}).eval()
    x = torch.randn(3, 5, 8)
    exported = torch.export.export(block, (x,)).module()
    torch.testing.assert_close(exported(x), block(x))


class TestLoadBalancing:
    def test_is_one_where_experts_are_used_alike(self) -> None:
        chosen = torch.arange(8)[:, None] % 4
        loss = load_balancing_loss(torch.full((8, 4), 0.25), chosen)
        assert float(loss) == pytest.approx(1.0)

    @given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
    def test_is_least_where_experts_are_used_alike(self, used: list[int]) -> None:
        """For a router that is sure: experts times the sum of squared shares, at least 1."""
        chosen = torch.tensor(used)
        sure = torch.nn.functional.one_hot(chosen, 4).double()
        shares = [used.count(expert) / len(used) for expert in range(4)]
        loss = float(load_balancing_loss(sure, chosen[:, None]))
        assert loss == pytest.approx(4 * sum(share**2 for share in shares))
        assert loss >= 1 - 1e-9

    def test_is_the_number_of_experts_where_one_does_all(self) -> None:
        sure = torch.tensor([[0.0, 1.0, 0.0]]).expand(6, 3)
        loss = load_balancing_loss(sure, torch.ones(6, 1, dtype=torch.long))
        assert float(loss) == pytest.approx(3.0)

    def test_its_gradient_takes_probability_from_the_crowded_expert(self) -> None:
        logits = torch.zeros(6, 3, requires_grad=True)
        load_balancing_loss(logits.softmax(1), torch.ones(6, 1, dtype=torch.long)).backward()
        assert (logits.grad[:, 1] > 0).all() and (logits.grad[:, [0, 2]] < 0).all()


class TestAuxiliaryLosses:
    def test_several_passes_add_up(self) -> None:
        block, x = FeedForward((5, 8), **MIXTURE, balance=0.5), torch.randn(3, 5, 8)
        with auxiliary_losses() as once:
            block(x)
        with auxiliary_losses() as twice:
            block(x)
            block(x)
        assert (len(once), len(twice)) == (1, 2)
        torch.testing.assert_close(sum(twice), 2 * once[0])
        probabilities = block.router(block.norm(x).flatten(0, 1)).softmax(-1)
        expected = 0.5 * load_balancing_loss(probabilities, probabilities.topk(2)[1])
        torch.testing.assert_close(once[0], expected)

    def test_it_reaches_the_router(self) -> None:
        block = FeedForward((5, 8), **MIXTURE)
        with auxiliary_losses() as losses:
            block(torch.randn(3, 5, 8))
        sum(losses).backward()
        assert block.router.weight.grad.abs().max() > 0
        assert block.widen.grad is None

    def test_nothing_is_left_in_the_module(self) -> None:
        block = FeedForward((5, 8), **MIXTURE)
        before = pickle.dumps(block)
        block(torch.randn(3, 5, 8))
        with auxiliary_losses():
            block(torch.randn(3, 5, 8))
        assert pickle.dumps(block) == before

    def test_evaluation_and_dense_layers_have_none(self) -> None:
        x = torch.randn(3, 5, 8)
        with auxiliary_losses() as losses:
            FeedForward((5, 8), **MIXTURE).eval()(x)
            FeedForward((5, 8))(x)
        assert losses == []

    def test_the_innermost_collects(self) -> None:
        block, x = FeedForward((5, 8), **MIXTURE), torch.randn(3, 5, 8)
        with auxiliary_losses() as outer:
            with auxiliary_losses() as inner:
                block(x)
            block(x)
        assert (len(outer), len(inner)) == (1, 1)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"ratio": 0}, "ratio of at least 1, got ratio=0"),
        ({"experts": 2, "top_k": 3}, "1 <= top_k <= experts, got top_k=3, experts=2"),
        ({"experts": 0}, "got top_k=1, experts=0"),
        ({"activation": "tanh"}, "activation among"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(args: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        FeedForward((5, 8), **args)
