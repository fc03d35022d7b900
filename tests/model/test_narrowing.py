"""Networks that compute with a share of their channels."""

from copy import deepcopy
from itertools import islice

import pytest
import torch

import optuna_nas as nas
from optuna_nas.exceptions import SpaceError
from optuna_nas.model.narrowing import Narrowing, narrowed
from optuna_nas.spaces.draws import random_trials

IMAGES = (1, 8, 8)
CHAIN = nas.Architecture(
    (
        nas.Node("first", "conv", {"channels": 8}, ("input",)),
        nas.Node("second", "conv", {"channels": 8, "residual": True}, ("first",)),
        nas.Node("head", "classify", {}, ("second",)),
    )
)


def network(share: float) -> tuple[nas.model.Network, Narrowing]:
    torch.manual_seed(0)
    built, narrowing = nas.build(CHAIN, IMAGES, 3), Narrowing(IMAGES, 3)
    built.narrowing, narrowing.share = narrowing, share
    return built, narrowing


def test_it_computes_as_the_narrower_network_with_its_leading_weights() -> None:
    whole, _ = network(0.25)
    alone = nas.build(narrowed(CHAIN, 0.25), IMAGES, 3)
    leading = {
        name: whole.state_dict()[name][tuple(map(slice, tensor.shape))]
        for name, tensor in alone.state_dict().items()
    }
    alone.load_state_dict(leading)
    x = torch.rand(16, *IMAGES)
    torch.testing.assert_close(whole(x), alone(x))
    torch.testing.assert_close(whole.eval()(x), alone.eval()(x))


def test_only_the_leading_weights_and_statistics_learn() -> None:
    whole, narrowing = network(0.25)
    before = deepcopy(whole.state_dict())
    whole(torch.rand(16, *IMAGES)).square().sum().backward()
    for name, weights in whole.named_parameters():
        part = dict(nas.build(narrowed(CHAIN, 0.25), IMAGES, 3).named_parameters())[name]
        inside = torch.zeros_like(weights, dtype=torch.bool)
        inside[tuple(map(slice, part.shape))] = True
        assert weights.grad is not None and not weights.grad[~inside].any(), name
    mean = next(name for name in before if name.endswith("running_mean"))
    moved = whole.state_dict()[mean] != before[mean]
    assert moved[:2].all() and not moved[2:].any()
    narrowing.share = 1.0
    del whole.narrowing
    whole.zero_grad()
    whole(torch.rand(16, *IMAGES)).square().sum().backward()
    assert all(weights.grad.any() for weights in whole.parameters())


def test_copies_grow_with_it() -> None:
    whole, narrowing = network(0.25)
    copy = deepcopy(whole).eval()
    x = torch.rand(4, *IMAGES)
    narrow = copy(x)
    narrowing.share = 1.0
    assert not torch.equal(copy(x), narrow)


@pytest.mark.parametrize("name", sorted({*nas.spaces.SPACES} - {"mlp", "transformer"}))
def test_every_space_of_images_can_be_narrowed(name) -> None:
    shape = (3, 24, 24)
    space = nas.spaces.SPACES[name](input_shape=shape)
    for trial in islice(random_trials(0), 3):
        drawn = space(trial)
        narrow = narrowed(drawn, 0.25)
        built, less = (nas.build(a, shape, 5, device="meta") for a in (drawn, narrow))
        sizes = [sum(p.numel() for p in b.parameters()) for b in (built, less)]
        assert sizes[1] < sizes[0]


def test_heads_still_divide_what_is_narrower() -> None:
    space = nas.spaces.Transformer(input_shape=(16,), vocabulary=16)
    for trial in islice(random_trials(0), 5):
        nas.build(narrowed(space(trial), 0.3), (16,), 16, device="meta")


def test_an_architecture_that_cannot_be_as_narrow_is_refused() -> None:
    joined = nas.Architecture(
        (
            nas.Node("wide", "conv", {"channels": 8}, ("input",)),
            nas.Node("both", "add", {}, ("wide", "input")),
            nas.Node("head", "classify", {}, ("both",)),
        )
    )
    built = nas.build(joined, (8, 8, 8), 3)
    built.narrowing = Narrowing((8, 8, 8), 3)
    built.narrowing.share = 0.5
    with pytest.raises(SpaceError, match=r"50% of its width.*node 'both'.*begin wider"):
        built(torch.rand(2, 8, 8, 8))
