"""A search by gradients runs with any recipe, stops, resumes, and ends in an ordinary trial."""

from __future__ import annotations

import dataclasses
import json
import logging
from functools import partial

import lightning
import numpy as np
import pytest
import torch
from mixing import CELLS, OUTPUTS, SHAPE, STACKED, table
from optuna.storages import InMemoryStorage
from optuna.trial import FixedTrial
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import optuna_nas as nas
from optuna_nas.exceptions import DataError, DescriptionError, StudyError, TrainingError
from optuna_nas.model import Classifier
from optuna_nas.supernet import DARTS, Entropy, ExpectedLatency, Gumbel, HessianStop, SkipStop
from optuna_nas.supernet.differentiable import Alphas, Epoch, progress, stops
from optuna_nas.supernet.differentiable.halves import ARCHITECTURE, WEIGHTS, Halves

CPU = {"trainer": {"accelerator": "cpu"}}


def space(trial) -> nas.Architecture:
    """A convolution, and after it another, pooling, or nothing: searched in a second."""
    second = trial.suggest_categorical("second", ["skip", "conv", "pool"])
    kernel = trial.suggest_categorical("kernel", [1, 3])
    nodes = [("first", "conv", {"channels": 4, "kernel": kernel})]
    if second == "conv":
        nodes.append(("second", "relu_conv", {"channels": 4}))
    if second == "pool":
        nodes.append(("second", "pool", {"mode": "avg"}))
    return nas.Architecture.chain([*nodes, ("classify", "classify", {})])


def data(samples: int = 96, **options) -> nas.datasets.ArrayDataModule:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(samples, *SHAPE)), np.arange(samples) % OUTPUTS
    x += y[:, None, None, None]
    return nas.datasets.ArrayDataModule(x, y, batch_size=8, **options)


def darts(**options) -> DARTS:
    return DARTS(**{"space": space, "epochs": 2, "learning_rate": 0.05, **CPU, **options})


def test_what_it_finds_is_trained_like_any_other() -> None:
    found = darts().fit(data())
    assert space(FixedTrial(found.params)) == found.architecture
    search = nas.Search(
        name="found",
        space=space,
        data=data(),
        objectives=["accuracy"],
        fidelity=nas.Budget(2),
        pruner="none",
        **CPU,
    )
    study = search.study(InMemoryStorage())
    study.enqueue_trial(found.params)
    trial = search.run(trials=1, storage=study._storage).best_trial
    assert trial.params == found.params
    assert trial.user_attrs["digest"] == found.architecture.digest
    assert trial.user_attrs["outcome"] == "trained"


def test_operators_that_help_grow_strong() -> None:
    """What is to be told apart is how pixels lie to each other: no kernel of one sees that."""
    rng = np.random.default_rng(0)
    y = np.arange(240) % 2
    x = np.stack([_stripes(rng, bool(label)) for label in y])
    stripes = nas.datasets.ArrayDataModule(x, y, batch_size=16, test=0.0)
    found = darts(epochs=8, learning_rate=0.03).fit(stripes)
    weights = found.epochs[-1].weights["kernel"]
    assert found.params["kernel"] == 3
    assert weights["3"] > 0.6
    assert found.epochs[-1].loss < found.epochs[0].loss


def _stripes(rng, across: bool):
    image = np.sign(rng.normal(size=(1, 4))) * np.array([1, -1, 1, -1])[:, None]
    return (image if across else image.T)[None] + 0.1 * rng.normal(size=SHAPE)


@pytest.mark.parametrize(
    "options",
    [
        {"order": 2, "penalties": (Entropy(0.1),), "l2": 1e-3, "warmup": 1},
        {"weighting": "gumbel", "dropout": 0.3, "early_stop": "skips"},
        {"space": STACKED, "partial": 2, "epochs": 1},
        {"space": CELLS, "weighting": Gumbel(hard=False), "epochs": 1},
    ],
    ids=["second order", "gumbel", "partial", "soft gumbel"],
)
def test_variants_go_together(options) -> None:
    search = darts(**options)
    found = search.fit(data())
    assert found.architecture == search.space(FixedTrial(found.params))
    assert [epoch.number for epoch in found.epochs] == [*range(1, search.epochs + 1)]
    text = json.loads(found.to_json())
    assert text["params"] == found.params
    for weights in text["epochs"][-1]["weights"].values():
        assert sum(weights.values()) == pytest.approx(1.0)


def test_a_high_price_of_latency_leaves_what_costs_nothing(tmp_path) -> None:
    penalties = (ExpectedLatency(table(), weight=1000.0),)
    search = darts(space=CELLS, penalties=penalties)
    found = search.fit(data(), checkpoint=tmp_path / "search.ckpt")
    assert set(found.params.values()) <= {"none", "skip_connect"}
    assert found.parameter_free == 1.0
    assert search.fit(data(), checkpoint=tmp_path / "search.ckpt") == found


def test_in_warmup_the_architecture_stays() -> None:
    first, second, third = darts(epochs=3, warmup=2).fit(data()).epochs
    assert first.weights == second.weights != third.weights
    assert first.architecture_loss == second.architecture_loss == 0 < third.architecture_loss


def test_a_search_taken_up_again_ends_as_undisturbed(tmp_path) -> None:
    options = {"epochs": 4, "weighting": "gumbel", "dropout": 0.3}
    options["early_stop"] = HessianStop(window=1, ratio=0.0)
    whole = darts(**options).fit(data())
    file = tmp_path / "search.ckpt"

    def interrupt(epoch) -> None:
        if epoch.number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        darts(**options).fit(data(), checkpoint=file, on_epoch=interrupt)
    told: list[int] = []
    resumed = darts(**options).fit(data(), Classifier, file, partial(_tell, told))
    assert told == [3, 4]
    assert resumed == whole
    assert darts(**options).fit(data(), checkpoint=file) == whole  # it is done
    with pytest.raises(StudyError, match="another: order: 1 -> 2"):
        darts(**options, order=2).fit(data(), checkpoint=file)


def _tell(told: list[int], epoch: Epoch) -> None:
    told.append(epoch.number)


def test_the_same_seed_finds_the_same() -> None:
    one, same, other = (darts(seed=seed).fit(data()) for seed in (0, 0, 1))
    assert one == same
    assert one.epochs != other.epochs


def test_it_stops_before_a_cell_has_too_many_skips(monkeypatch) -> None:
    skips = [3, 1, 2, 4, 4]
    monkeypatch.setattr(progress, "_skips", lambda *_: {"": skips.pop(0)})
    found = darts(epochs=5, early_stop=SkipStop(2)).fit(data())
    assert len(found.epochs) == 4
    assert found.derived == 3
    assert found.params == found.epochs[2].params
    assert found.stopped == "4 skips in a cell, more than 2"


def test_it_stops_as_the_loss_grows_sharp(monkeypatch) -> None:
    values = [1.0, 1.0, 1.1, 1.2, 1.9, 2.5, 3.0]
    monkeypatch.setattr(stops, "dominant_eigenvalue", lambda *_: values.pop(0))
    found = darts(epochs=7, early_stop=HessianStop(window=2)).fit(data())
    assert [epoch.eigenvalue for epoch in found.epochs] == [1.0, 1.0, 1.1, 1.2, 1.9]
    assert found.derived == 3  # (1.0 + 1.1) / 2 < 0.75 * (1.2 + 1.9) / 2
    assert "1.05 -> 1.55" in found.stopped


def test_looking_at_curvature_changes_nothing() -> None:
    plain = darts().fit(data())
    looked = darts(early_stop=HessianStop(ratio=0.0)).fit(data())
    assert all(epoch.eigenvalue for epoch in looked.epochs)
    assert [e.weights for e in looked.epochs] == [e.weights for e in plain.epochs]
    assert [e.loss for e in looked.epochs] == [e.loss for e in plain.epochs]


@pytest.mark.parametrize("winner", ["skip_connect", "nor_conv_3x3"])
def test_a_collapse_is_reported(winner, monkeypatch, caplog) -> None:
    cells = dataclasses.replace(CELLS, operators=("skip_connect", "nor_conv_3x3"))

    def begun(relaxation, edges, seed) -> Alphas:
        alphas = Alphas(relaxation, edges, seed)
        for alpha in alphas.operators:
            alpha.data[cells.operators.index(winner)] += 5.0
        return alphas

    monkeypatch.setattr("optuna_nas.supernet.differentiable.search.Alphas", begun)
    with caplog.at_level(logging.WARNING, "optuna_nas"):
        found = darts(space=cells, epochs=1).fit(data())
    skip = winner == "skip_connect"
    assert found.skips == found.parameter_free == float(skip)
    assert found.collapsed == ("the search collapsed: 100%" in caplog.text) == skip


def test_halves_are_of_the_training_split_and_do_not_meet() -> None:
    module, halves = data(), Halves(0)
    module.setup("fit")
    whole = {x.numpy().tobytes() for x in module.train_dataloader().dataset.x}
    with halves.of(module):
        served = module.train_dataloader()
    assert "train_dataloader" not in vars(module)
    parts = {
        name: {x.numpy().tobytes() for x, _ in part.dataset}
        for name, part in served.iterables.items()
    }
    assert not parts[WEIGHTS] & parts[ARCHITECTURE]
    assert parts[WEIGHTS] | parts[ARCHITECTURE] <= whole
    assert len(parts[WEIGHTS]) == len(parts[ARCHITECTURE]) == len(whole) // 2
    assert {x.numpy().tobytes() for x in halves.probe[0]} <= parts[ARCHITECTURE]


class Own(lightning.LightningModule):
    """A user's recipe, which logs and has a schedule."""

    def __init__(self, network, configured) -> None:
        super().__init__()
        self.network = network
        self.configured = configured
        self.rates: list[float] = []

    def training_step(self, batch, batch_idx):
        loss = cross_entropy(self.network(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=True)
        return {"loss": loss}

    def on_train_epoch_start(self) -> None:
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])

    def configure_optimizers(self):
        return self.configured(torch.optim.SGD(self.parameters(), 0.1))


def falling(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)


@pytest.mark.parametrize(
    "configured",
    [
        lambda o: ([o], [falling(o)]),
        lambda o: {"optimizer": o, "lr_scheduler": {"scheduler": falling(o)}},
        lambda o: [{"optimizer": o, "lr_scheduler": falling(o)}],
    ],
)
def test_any_recipe_with_one_optimiser_trains_the_weights(configured) -> None:
    made = []

    def module(network) -> Own:
        made.append(Own(network, configured))
        return made[-1]

    found = darts(early_stop="hessian").fit(data(), module)
    assert len(found.epochs) == 2
    assert made[0].rates == [0.1, 0.05]
    assert made[0].automatic_optimization
    assert "training_step" not in vars(made[0])


@pytest.mark.parametrize(
    ("configured", "message"),
    [
        (lambda o: [o, o], "one optimiser.*got list"),
        (lambda o: None, "one optimiser.*got NoneType"),
        (
            lambda o: {
                "optimizer": o,
                "lr_scheduler": torch.optim.lr_scheduler.ReduceLROnPlateau(o),
            },
            "ReduceLROnPlateau",
        ),
    ],
)
def test_other_recipes_are_refused(configured, message) -> None:
    with pytest.raises(DescriptionError, match=message):
        darts().fit(data(), lambda network: Own(network, configured))


def test_recipes_that_optimise_themselves_are_refused() -> None:
    def module(network) -> Own:
        own = Own(network, lambda o: o)
        own.automatic_optimization = False
        return own

    with pytest.raises(DescriptionError, match=r"automatic optimisation.*Own without"):
        darts().fit(data(), module)
    with pytest.raises(DescriptionError, match="return a LightningModule, got Network"):
        darts().fit(data(), lambda network: nas.build(space_of_one(), SHAPE, OUTPUTS))


def space_of_one() -> nas.Architecture:
    return nas.Architecture.chain([("classify", "classify", {})])


class Streamed(IterableDataset):
    def __iter__(self):
        return iter([(torch.zeros(SHAPE), torch.tensor(0))])


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (lambda: DataLoader(Streamed(), 8), "one DataLoader with a batch_size"),
        (lambda: [1, 2], "got list"),
        (
            lambda: DataLoader(TensorDataset(torch.zeros(9, *SHAPE), torch.zeros(9).long()), 8),
            "two batches of 8, got 9",
        ),
    ],
)
def test_data_that_cannot_be_halved_are_refused(loader, message) -> None:
    module = data()
    module.train_dataloader = loader
    with pytest.raises(DataError, match=message), Halves(0).of(module):
        module.train_dataloader()


def test_a_nan_stops_it_and_leaves_the_last_good_checkpoint(tmp_path) -> None:
    file = tmp_path / "search.ckpt"
    with pytest.raises(TrainingError, match="finite loss of the mixed network, got nan"):
        darts(epochs=3).fit(data(), partial(Classifier, learning_rate=1e30), checkpoint=file)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 3}, "order of 1 or 2, got 3"),
        ({"epochs": 0}, "epochs of at least 1, got 0"),
        ({"warmup": 2}, "below epochs=2, got 2"),
        ({"dropout": 1.0}, r"dropout in \[0, 1\), got 1.0"),
        ({"weighting": "gumble"}, "did you mean 'gumbel'"),
        ({"early_stop": "skip"}, "did you mean 'skips'"),
        ({"space": None}, "callable space, got None"),
        ({"learning_rate": float("nan")}, "learning_rate above 0, got nan"),
    ],
)
def test_what_is_described_wrongly_is_refused(options, message) -> None:
    with pytest.raises(DescriptionError, match=message):
        darts(**options)


@pytest.mark.parametrize("make", [lambda: SkipStop(-1), lambda: HessianStop(ratio=1.0)])
def test_stops_that_make_no_sense_are_refused(make) -> None:
    with pytest.raises(DescriptionError, match="expected"):
        make()
