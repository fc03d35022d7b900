"""Zero-cost proxies: their laws, and what they are not defined for."""

import copy
import functools
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

import optuna_nas as nas
from optuna_nas.exceptions import DataError, DescriptionError, MeasurementError
from optuna_nas.objectives import (
    NASWOT,
    SNIP,
    Candidate,
    GradNorm,
    JacobCov,
    Objective,
    SynFlow,
    untrained_values,
)
from optuna_nas.spaces.draws import random_trials

DATA = nas.datasets.Digits(seed=1)
ON_DATA = [GradNorm, JacobCov, NASWOT, SNIP]


def chain(*sizes: int, bias: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for wide, narrow in itertools.pairwise(sizes):
        layers += [nn.Linear(wide, narrow, bias=bias), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    convolution = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5)
    return nn.Sequential(*convolution, nn.Flatten(), nn.Linear(4 * 36, 10))


def on_digits(network: nn.Module) -> Candidate:
    return Candidate(network, (1, 8, 8), 10, data=DATA)


def batch(examples: int = 64) -> tuple[Tensor, Tensor]:
    DATA.setup("fit")
    x, y = next(iter(DATA.train_dataloader()))
    return x[:examples], y[:examples]


def without_dropout(network: nn.Module) -> nn.Module:
    copied = copy.deepcopy(network).train()
    copied[3].eval()
    return copied


# SynFlow


def flow(network: nn.Module, inputs: int = 64) -> float:
    return SynFlow()(Candidate(network, (inputs,))).value


def test_synflow_of_a_chain_is_what_flows_through_once_for_each_layer() -> None:
    network = chain(64, 20, 30, 10)
    through = torch.ones(64, dtype=torch.float64)
    for layer in (1, 3, 5):
        through = network[layer].weight.detach().double().abs() @ through
    assert flow(network) == pytest.approx(math.log(3 * through.sum()), rel=1e-12)


def test_synflow_knows_neither_signs_nor_where_a_scale_sits() -> None:
    network = chain(64, 20, 10)
    before = flow(network)
    with torch.no_grad():
        network[1].weight.mul_(8)
        network[3].weight.div_(-8)  # exact, as powers of two are
    assert flow(network) == pytest.approx(before, rel=1e-12)
    with torch.no_grad():
        network[1].weight.mul_(4)
    assert flow(network) == pytest.approx(before + math.log(4), rel=1e-12)


def test_synflow_goes_past_normalisation_and_bounds() -> None:
    torch.manual_seed(0)
    first, last = nn.Linear(64, 20), nn.Linear(20, 10)
    bare = flow(nn.Sequential(first, nn.ReLU(), last))
    norms = [nn.BatchNorm1d(20), nn.LayerNorm(20), nn.GroupNorm(2, 20), nn.RMSNorm(20)]
    for norm in norms:
        assert flow(nn.Sequential(first, norm, nn.ReLU6(), last)) == bare


def test_synflow_of_a_deep_and_wide_network_does_not_overflow_until_it_says_so() -> None:
    torch.manual_seed(0)
    deep = chain(64, *[1024] * 60, 10)
    for layer in deep:
        if isinstance(layer, nn.Linear):
            nn.init.constant_(layer.weight, 1.0)
    assert flow(deep) == pytest.approx(math.log(61 * 64 * 10) + 60 * math.log(1024))
    for layer in deep:
        if isinstance(layer, nn.Linear):
            nn.init.constant_(layer.weight, 1e6)
    with pytest.raises(MeasurementError, match="expected a finite synflow, got"):
        flow(deep)


def test_synflow_of_what_lets_nothing_through_is_low_and_finite() -> None:
    network = chain(64, 20, 10)
    nn.init.zeros_(network[3].weight)
    assert flow(network) == pytest.approx(math.log(1e-300))


def test_synflow_of_what_turns_signs_is_refused() -> None:
    class Turned(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return -super().forward(x)

    with pytest.raises(MeasurementError, match=r"at least 0 for synflow, got -"):
        flow(Turned(64, 10))


def test_synflow_of_what_takes_no_float64_is_refused() -> None:
    class Single(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.float())

    with pytest.raises(MeasurementError, match=r"takes torch\.float64"):
        flow(Single(64, 10))


class Tagger(nn.Module):
    """Logits (B, 3, T) for token ids (B, T)."""

    input_dtype = torch.long

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.linear = nn.Linear(4, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.embedding(x)).transpose(1, 2)


def test_synflow_of_token_ids_is_that_of_a_layer_on_which_all_are_set() -> None:
    network = Tagger()
    as_layer = chain(5, 4, 3)
    with torch.no_grad():
        as_layer[1].weight.copy_(network.embedding.weight.T)
        as_layer[3].weight.copy_(network.linear.weight)
    of_one = flow(as_layer, 5)
    found = SynFlow()(Candidate(network, (7,))).value
    assert found == pytest.approx(of_one + math.log(7), rel=1e-12)


@pytest.mark.parametrize("kind", [nas.spaces.Transformer, nas.spaces.ViT])
def test_synflow_of_transformers_is_a_number(kind: type) -> None:
    space = kind(activations=("relu", "gelu"))
    for _, trial in zip(range(20), random_trials(0), strict=False):
        assert math.isfinite(SynFlow()(Candidate(space(trial), space.input_shape, 5)).value)


def test_synflow_of_many_layers_that_multiply_activations_is_refused() -> None:
    space = nas.spaces.Transformer(activations=("swiglu",), layers=(12, 12))
    with pytest.raises(MeasurementError, match="expected a finite synflow, got"):
        SynFlow()(Candidate(space(next(random_trials(0))), space.input_shape, 5))


@pytest.mark.parametrize("proxy", [GradNorm(), SNIP()], ids=lambda o: o.name)
def test_gradient_proxies_take_classes_of_positions(proxy: Objective) -> None:
    torch.manual_seed(0)
    network, x = Tagger(), torch.randint(5, (8, 7))

    class Tags(nas.datasets.ArrayDataModule):
        def train_dataloader(self) -> list[tuple[Tensor, Tensor]]:
            return [(x, x % 3)]

    data = Tags(np.zeros((20, 7)), np.arange(20) % 2)
    found = proxy(Candidate(network, (7,), 3, data=data)).value
    cross_entropy(network(x), x % 3).backward()
    weights = [network.embedding.weight, network.linear.weight]
    expected = {
        "grad_norm": sum(w.grad.norm() for w in weights),
        "snip": sum((w.detach() * w.grad).abs().sum() for w in weights),
    }[proxy.name]
    assert found == pytest.approx(float(expected), rel=1e-5)


# Gradients


def test_gradient_proxies_are_what_backpropagation_finds(network) -> None:
    x, y = batch()
    copied = without_dropout(network)
    cross_entropy(copied(x), y).backward()
    weights = copied[0].weight, copied[5].weight
    candidate = on_digits(network)
    norm = float(sum(w.grad.norm() for w in weights))
    assert GradNorm()(candidate).value == pytest.approx(norm, rel=1e-5)
    saliency = float(sum((w.detach() * w.grad).abs().sum() for w in weights))
    assert SNIP()(candidate).value == pytest.approx(saliency, rel=1e-5)


@pytest.mark.parametrize("proxy", [GradNorm(), SNIP()], ids=lambda o: o.name)
def test_gradients_need_classes_and_weights(proxy: Objective) -> None:
    x = np.random.default_rng(0).normal(size=(80, 6)).astype("float32")
    data = nas.datasets.ArrayDataModule(x, x[:, 0])
    with pytest.raises(DataError, match=r"targets \(B,\) of classes"):
        proxy(Candidate(nn.Linear(6, 1), (6,), 1, data=data))
    frozen = chain(64, 10).requires_grad_(False)
    with pytest.raises(MeasurementError, match="trainable weights"):
        proxy(on_digits(frozen))


# Jacobian covariance


def test_jacob_cov_is_the_divergence_of_the_correlations(network) -> None:
    x, _ = batch(16)
    x.requires_grad_()
    without_dropout(network)(x).sum().backward()
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(x.grad.flatten(1).double().numpy())) + 1e-5
    direct = -np.sum(np.log(eigenvalues) + 1 / eigenvalues)
    assert JacobCov(examples=16)(on_digits(network)).value == pytest.approx(direct, rel=1e-3)


def test_jacob_cov_is_lowest_where_all_examples_are_alike() -> None:
    """A linear network has one gradient for all inputs; one without input none at all."""
    examples = 16
    one = JacobCov(examples=examples)(on_digits(chain(64, 10))).value
    rest = -(examples - 1) * (math.log(1e-5) + 1e5)
    assert one == pytest.approx(rest - math.log(examples), rel=1e-4)
    dead = chain(64, 8, 10)
    nn.init.zeros_(dead[1].weight)
    none = -examples * (math.log(1e-5) + 1e5)
    assert JacobCov(examples=examples)(on_digits(dead)).value == pytest.approx(none)


@pytest.mark.parametrize("kind", [torch.float32, torch.int64])
def test_jacob_cov_needs_a_gradient_by_the_input(kind: torch.dtype) -> None:
    class Tokens(nas.datasets.Digits):
        def on_after_batch_transfer(self, batch, dataloader_idx):
            return batch[0].abs().to(kind), batch[1]

    class Embedded(nn.Embedding):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.flatten(1).long()).sum(1)

    with pytest.raises(MeasurementError, match=f"gradient by the input .*{kind}"):
        JacobCov()(Candidate(Embedded(100, 10), (1, 8, 8), 10, data=Tokens()))


# NASWOT


def directly(codes: Tensor) -> float:
    """Log-determinant of the agreement of codes (B, N) of 0 and 1."""
    differ = (codes[:, None] != codes[None]).sum(-1).double()
    return float(torch.linalg.slogdet(codes.shape[1] - differ).logabsdet)


class Functional(nn.Module):
    def __init__(self, hidden: nn.Linear, last: nn.Linear, rectify: Callable) -> None:
        super().__init__()
        self.hidden, self.last, self.rectify = hidden, last, rectify

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.last(self.rectify(self.hidden(x.flatten(1))))
        return result


@pytest.mark.parametrize(
    "rectify",
    [
        nn.ReLU(),
        nn.ReLU(inplace=True),
        nn.ReLU6(),
        nn.LeakyReLU(),
        relu,
        functools.partial(relu, inplace=True),
    ],
)
def test_naswot_is_the_log_determinant_of_agreement(rectify: Callable) -> None:
    torch.manual_seed(0)
    hidden, last = nn.Linear(64, 300), nn.Linear(300, 10)
    x, _ = batch(32)
    codes = hidden(x.flatten(1)) > 0
    found = NASWOT(examples=32)(on_digits(Functional(hidden, last, rectify)))
    assert found.value == pytest.approx(directly(codes), rel=1e-9)
    assert found.details == {"examples": 32}


def test_naswot_counts_all_layers_and_batch_statistics(network) -> None:
    x, _ = batch(16)
    deeper = nn.Sequential(*network[:-1], nn.Linear(4 * 36, 200), nn.ReLU(), nn.Linear(200, 10))
    copied = without_dropout(deeper)
    codes = torch.cat([(copied[:2](x) > 0).flatten(1), copied[:6](x) > 0], 1)
    assert NASWOT(examples=16)(on_digits(deeper)).value == pytest.approx(directly(codes), rel=1e-9)


def test_naswot_of_a_network_that_sees_no_difference_is_low_and_finite() -> None:
    network = chain(64, 8, 10)
    nn.init.zeros_(network[1].weight)
    value = NASWOT(examples=16)(on_digits(network)).value
    assert value == pytest.approx(math.log(16 * 8) + 15 * math.log(1e-5))


def test_naswot_without_rectifiers_is_refused() -> None:
    smooth = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.GELU(), nn.Linear(10, 10))
    with pytest.raises(MeasurementError, match=r"expected a network with ReLU.*got none"):
        NASWOT()(on_digits(smooth))


def test_naswot_needs_the_examples_first() -> None:
    class Transposed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return relu(x.flatten(1).T).T[:, :10]

    with pytest.raises(MeasurementError, match=r"the examples first.*\(64, 32\)"):
        NASWOT(examples=32)(on_digits(Transposed()))


# What they share


@pytest.mark.parametrize("proxy", ON_DATA)
def test_the_same_examples_whatever_else_is_random(proxy: type[Objective], network) -> None:
    class Shuffled(nas.datasets.ArrayDataModule):
        def train_dataloader(self):
            data = self._data("train")
            dataset = torch.utils.data.TensorDataset(data.x, data.y)
            return torch.utils.data.DataLoader(dataset, 16, shuffle=True)

    x = np.random.default_rng(0).normal(size=(200, 1, 8, 8)).astype("float32")
    data = Shuffled(x, np.arange(200) % 10)
    values = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        found = proxy(examples=40)(Candidate(network, (1, 8, 8), 10, seed=seed, data=data))
        values.append(found.value)
        assert found.details == {"examples": 40}
    assert values[0] == values[1]


@pytest.mark.parametrize("proxy", [*ON_DATA, SynFlow])
def test_the_value_follows_from_architecture_and_seed(proxy: type[Objective]) -> None:
    nodes = [("hidden", "linear", {"features": 64}), ("head", "classify", {})]
    drawn = nas.Architecture.chain(nodes)

    def value(seed: int) -> float:
        return proxy()(Candidate(drawn, (1, 8, 8), 10, seed=seed, data=DATA)).value

    assert value(0) == value(0) != value(1)


@pytest.mark.parametrize("proxy", [*ON_DATA, SynFlow])
def test_every_network_of_a_space_has_a_value(proxy: type[Objective]) -> None:
    space = nas.spaces.CNN(input_shape=(1, 8, 8), channels=(4, 8))
    for _, trial in zip(range(5), random_trials(0), strict=False):
        measured = proxy()(Candidate(space(trial), (1, 8, 8), 10, data=DATA))
        assert math.isfinite(measured.value) and measured.spread is None


@pytest.mark.parametrize("proxy", ON_DATA)
def test_without_data_or_with_too_few_examples_it_is_refused(
    proxy: type[Objective], network
) -> None:
    with pytest.raises(DataError, match="expected data"):
        proxy()(Candidate(network, (1, 8, 8), 10))
    with pytest.raises(DescriptionError, match="at least 2, got 1"):
        proxy(examples=1)


@pytest.mark.parametrize("proxy", ON_DATA)
def test_a_network_that_fails_on_the_examples_is_named(proxy: type[Objective]) -> None:
    class OneByOne(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.reshape(-1, 64)[:2].reshape(len(x), 64))

    with pytest.raises(MeasurementError, match=r"takes torch.float32 of shape \(64, 1, 8, 8\)"):
        proxy()(on_digits(OneByOne(64, 10)))


# As features


def test_untrained_values_are_numbers_by_name(network) -> None:
    names = ["naswot", SynFlow(), "parameters"]
    values = untrained_values(network, names, DATA)
    assert values["naswot"] == NASWOT()(on_digits(network)).value
    assert values["parameters"] == sum(p.numel() for p in network.parameters())
    assert list(values) == ["naswot", "synflow", "parameters"]


def test_what_is_not_defined_is_a_feature_without_value() -> None:
    smooth = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    values = untrained_values(smooth, ["naswot", "synflow"], DATA)
    assert math.isnan(values["naswot"]) and math.isfinite(values["synflow"])


def test_what_training_tells_is_no_feature(network) -> None:
    with pytest.raises(DescriptionError, match="got accuracy, which training tells"):
        untrained_values(network, ["accuracy"], DATA)
    with pytest.raises(DescriptionError, match="did you mean 'synflow'"):
        untrained_values(network, ["sinflow"], DATA)
