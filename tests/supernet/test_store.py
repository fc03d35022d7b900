"""Networks on shared weights are what the same networks are alone."""

from __future__ import annotations

import optuna
import pytest
import torch
from torch import nn

import optuna_nas as nas
from optuna_nas.exceptions import SpaceError
from optuna_nas.samplers.virtual import draw
from optuna_nas.spaces.draws import random_trials
from optuna_nas.supernet import SharedWeights
from optuna_nas.supernet.pieces import cut

CNN = nas.spaces.CNN(
    input_shape=(1, 8, 8), blocks=(1, 3), channels=(4, 8), kernels=(3, 5), operators=("conv",)
)
MOBILE = nas.spaces.MobileNet(
    input_shape=(1, 8, 8), stages=2, depths=(1, 2), operators=("mbconv",), widths=(4, 8), head=(8,)
)


def module(trial: optuna.Trial) -> nn.Module:
    width = trial.suggest_int("width", 2, 6)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, 10))


@pytest.fixture(scope="module", params=[CNN, MOBILE], ids=["cnn", "mobilenet"])
def store(request) -> SharedWeights:
    return SharedWeights(request.param, (1, 8, 8), 10)


def agree(one: nn.Module, other: nn.Module, x: torch.Tensor) -> None:
    for training in (False, True):
        torch.testing.assert_close(
            one.train(training)(x), other.train(training)(x), rtol=0, atol=0
        )


def test_a_subnet_equals_the_network_alone(store) -> None:
    x, trials = torch.randn(4, 1, 8, 8), random_trials(0)
    for _ in range(10):
        drawn = store.extent.space(next(trials))
        alone = nas.build(drawn, (1, 8, 8), 10)
        alone.load_state_dict(store.network(drawn).weights())
        agree(store.network(drawn), alone, x)
        agree(store.network(drawn), store.extract(drawn), x)


def test_the_full_size_network_takes_whole_tensors(store) -> None:
    largest = store.draw(draw(store.extent.space, store.extent.largest).params)
    weights = sum(p.numel() for p in nas.build(largest, (1, 8, 8), 10, "meta").parameters())
    assert weights <= sum(p.numel() for p in store.parameters()) <= 1.1 * weights


def test_gradients_reach_the_pieces_and_nothing_else(store) -> None:
    drawn = store.draw(draw(store.extent.space, store.extent.smallest).params)
    store.zero_grad()
    subnet = store.network(drawn)
    subnet(torch.randn(4, 1, 8, 8)).square().sum().backward()
    taken = {piece.key: piece for piece in subnet.pieces if piece.learned}
    for key, parameter in store.named_parameters():
        if key not in taken:
            assert parameter.grad is None
            continue
        outside = parameter.grad.clone()
        inside = cut(outside, taken[key].shape, taken[key].kernel)
        assert inside.abs().sum() > 0
        inside.zero_()
        assert not outside.any()


def test_modules_of_ones_own_share_weights() -> None:
    shared = SharedWeights(module, (1, 8, 8), 10)
    x = torch.randn(3, 1, 8, 8)
    drawn = module(optuna.trial.FixedTrial({"width": 3}))
    subnet = shared.network(drawn)
    found = subnet(x)
    assert found.shape == (3, 10)
    assert torch.equal(found, shared.extract(drawn)(x))


def test_weights_that_do_not_nest_are_refused_with_their_node() -> None:
    def space(trial: optuna.Trial) -> nn.Module:
        layer = trial.suggest_categorical("layer", ["conv", "linear"])
        made = nn.Conv2d(1, 4, 3) if layer == "conv" else nn.Linear(8, 4)
        return nn.ModuleDict({"stem": made})

    with pytest.raises(SpaceError, match="node 'stem' to nest"):
        SharedWeights(space, (1, 8, 8), 10)


def test_shapes_taken_from_the_data_are_refused() -> None:
    with pytest.raises(SpaceError, match=r"'0\.weight' of LazyLinear"):
        SharedWeights(lambda trial: nn.Sequential(nn.LazyLinear(3)), (8,), 3)


def test_a_store_comes_back_and_one_of_another_space_is_refused(tmp_path) -> None:
    file = tmp_path / "weights.pt"
    saved = SharedWeights(module, (1, 8, 8), 10, seed=1)
    saved.save(file)
    loaded = SharedWeights(module, (1, 8, 8), 10, seed=2)
    loaded.load(file)
    for one, other in zip(saved.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(SpaceError, match="shared weights of this space"):
        SharedWeights(CNN, (1, 8, 8), 10).load(file)


def test_a_network_of_another_space_is_refused() -> None:
    wider = nas.Architecture.chain(
        [("block1", "conv", {"channels": 99}), ("classify", "classify", {})]
    )
    with pytest.raises(SpaceError, match="node 'block1'"):
        SharedWeights(CNN, (1, 8, 8), 10).network(wider)


def test_transformers_share_weights_tied_layers_and_experts_included() -> None:
    torch.manual_seed(0)
    space = nas.spaces.Transformer(layers=(2, 3), widths=(8, 16), heads=(1, 2), ratios=(2, 4))
    shared = SharedWeights(space, (32,), 64)
    x, seen = torch.randint(64, (3, 32)), set()
    for _, trial in zip(range(24), random_trials(0), strict=False):
        drawn = space(trial)
        seen.add(trial.params["tied"])
        subnet = shared.network(drawn)
        alone = nas.build(drawn, (32,), 64)
        assert set(subnet.weights()) == set(alone.state_dict())
        alone.load_state_dict(subnet.weights())
        agree(subnet, alone, x)
    assert seen == {False, True}
