"""Operators are kept by what the mixed network loses without them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mixing import CELLS, OUTPUTS, SHAPE, STACKED, images, mixed, relaxed

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError
from optuna_nas.supernet import DARTS
from optuna_nas.supernet.differentiable import Found, perturbation


def data() -> nas.datasets.ArrayDataModule:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(96, *SHAPE)), np.arange(96) % OUTPUTS
    return nas.datasets.ArrayDataModule(x + y[:, None, None, None], y, batch_size=8)


def search(space=CELLS, **options) -> DARTS:
    trainer = {"accelerator": "cpu"}
    return DARTS(
        space=space, **{"epochs": 1, "selection": "perturbation", **options}, trainer=trainer
    )


def priced(space, monkeypatch) -> tuple[list[torch.Tensor], Found]:
    """Prices of options, and what is found where the loss is the sum of those that do not run."""
    rng = np.random.default_rng(0)
    prices = [torch.from_numpy(rng.random(len(c.options))) for c in relaxed(space).choices]
    for choice, own in zip(relaxed(space).choices, prices, strict=True):
        own[choice.labels.index("none")] = 0.0

    def loss(trainer, bilevel) -> float:
        given = bilevel.network._given
        return float(sum(p[w == 0].sum() for p, w in zip(prices, given, strict=True)))

    monkeypatch.setattr(perturbation, "_loss", loss)
    return prices, search(space).fit(data())


def test_what_is_missed_most_is_kept(monkeypatch) -> None:
    prices, found = priced(CELLS, monkeypatch)
    wanted = {n: int(own.argmax()) for n, own in enumerate(prices)}
    assert found.params == relaxed(CELLS).params(wanted)
    assert found.params == found.epochs[-1].params
    assert found.architecture == relaxed(CELLS).network(found.params)


def test_where_inputs_compete_those_missed_most_are_kept(monkeypatch) -> None:
    prices, found = priced(STACKED, monkeypatch)
    relaxation = relaxed(STACKED)
    kept = {}
    for join in relaxation.joins:
        most = sorted(join, key=lambda n: -float(prices[n].max()))[:2]
        kept |= {n: int(prices[n].argmax()) for n in most}
    assert found.params == relaxation.params(kept)


@pytest.mark.parametrize("space", [CELLS, STACKED], ids=["cells", "edges"])
def test_the_search_is_as_without(space) -> None:
    options = {"epochs": 2, "dropout": 0.3, "learning_rate": 0.05}
    found = search(space, **options).fit(data())
    other = search(space, **options, selection="strength").fit(data())
    assert found.epochs[0] == other.epochs[0]
    last, its = found.epochs[-1], other.epochs[-1]
    assert (last.weights, last.loss, last.architecture_loss) == (
        its.weights,
        its.loss,
        its.architecture_loss,
    )
    assert found.architecture == relaxed(space).network(found.params)


def test_it_is_in_the_checkpoint(tmp_path) -> None:
    file = tmp_path / "search.ckpt"
    found = search().fit(data(), checkpoint=file)
    assert search().fit(data(), checkpoint=file) == found == search().fit(data())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"early_stop": "skips"}, "selection='strength' beside early_stop, got 'perturbation'"),
        ({"selection": "weakness"}, "weakness"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message) -> None:
    with pytest.raises(DescriptionError, match=message):
        search(**options)


@pytest.mark.parametrize("options", [{}, {"partial": 2}], ids=["all", "partial"])
def test_given_weights_take_the_place_of_parameters(options) -> None:
    network, alphas, _ = mixed(STACKED, **options)
    x, weights = images(), [alpha.softmax(0) for alpha in alphas.operators]
    with network.weighing(weights):
        same = network(x)
    torch.testing.assert_close(same, network(x))
    with network.weighing([weight * 0 for weight in weights]):
        assert not torch.allclose(network(x), same)
