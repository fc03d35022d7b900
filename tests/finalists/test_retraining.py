"""One recipe for all of them: seeds, schedules, averages, the best epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import lightning
import numpy as np
import optuna
import pytest
import torch
from torch import nn

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError
from optuna_nas.finalists import Finals, Retraining, choose_finalists, run_finals
from optuna_nas.finalists.callbacks import Averaging
from optuna_nas.finalists.evaluation import candidate
from optuna_nas.finalists.finalist import Finalist
from optuna_nas.finalists.retraining import uncapped
from optuna_nas.study import checkpoints
from tests.finalists.conftest import RECIPE, describe_search

Finish = Callable[..., Finals]

pytestmark = pytest.mark.usefixtures("untimed")


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every epoch leaves a checkpoint, however short it is."""
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", float("inf"))


def linear(trial: object) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


class Peaking(lightning.LightningModule):
    """Its weights are the number of the epoch, and the third epoch is the best."""

    killed_in = -1

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-9)

    def training_step(self, batch: object, index: int) -> torch.Tensor:
        x, _ = batch
        return self.network(x).sum() * 0

    def on_train_epoch_start(self) -> None:
        if self.current_epoch == Peaking.killed_in:
            Peaking.killed_in = -1
            raise KeyboardInterrupt
        for weight in self.parameters():
            torch.nn.init.constant_(weight, float(self.current_epoch))

    def validation_step(self, batch: object, index: int) -> None:
        weight = next(self.parameters()).flatten()[0]
        self.log("val_accuracy", 1 - (weight - 2).abs() / 10)


@pytest.mark.parametrize(
    ("recipe", "epochs"),
    [({"patience": 2}, 5), ({"keep_best": True, "average": 1e-9}, 8)],
    ids=["patience", "to the end, averaged"],
)
@pytest.mark.parametrize("killed_in", [-1, 4])
def test_the_best_epoch_is_kept_whatever_comes_after_it(
    recipe: dict[str, object], epochs: int, killed_in: int, often: None, tmp_path: Path
) -> None:
    search = describe_search(module=Peaking)
    small = Finalist("linear", "reference", linear)
    train = Retraining(epochs=8, seeds=1, **{"average": None, **recipe})
    storage = optuna.storages.InMemoryStorage()
    Peaking.killed_in = killed_in
    if killed_in >= 0:
        with pytest.raises(KeyboardInterrupt):
            train(search, small, storage, tmp_path)
    found = train(search, small, storage, tmp_path)
    last = found.study.trials[-1].user_attrs
    assert last["ended"] == f"trained to the end, {epochs} epochs"
    assert last.get("resumed", {}).get("epochs", 4) == 4
    assert found.values("accuracy") == {0: pytest.approx(1.0, abs=1e-6)}
    weights = candidate(found, 0).network.state_dict().values()
    assert all(torch.allclose(w, torch.tensor(2.0), atol=1e-6) for w in weights)


def test_what_was_lost_too_often_still_goes_on_from_its_checkpoint(
    often: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optuna_nas.study.lease.MAX_LOSSES", 0)
    search = describe_search(module=Peaking)
    small = Finalist("linear", "reference", linear)
    train = Retraining(epochs=6, seeds=1, average=None)
    storage = optuna.storages.InMemoryStorage()
    Peaking.killed_in = 4
    with pytest.raises(KeyboardInterrupt):
        train(search, small, storage, tmp_path)
    found = train(search, small, storage, tmp_path)
    assert found.study.trials[-1].user_attrs["resumed"] == {"epochs": 4}
    assert found.cost["epochs"] == 6


@dataclass(frozen=True, kw_only=True)
class Late(nas.objectives.Accuracy):
    """The user loses patience after a training, before it is recorded."""

    stops: ClassVar[list[bool]] = []

    def __call__(self, candidate: nas.objectives.Candidate) -> nas.objectives.Measurement:
        if Late.stops and Late.stops.pop():
            raise KeyboardInterrupt
        return super().__call__(candidate)


def test_what_was_killed_at_its_very_end_has_the_same_weights(often: None, tmp_path: Path) -> None:
    search = describe_search(objectives=[Late()])
    small = Finalist("linear", "reference", linear)
    train = Retraining(epochs=2, seeds=1, average=0.9)
    weights = []
    for name in ("undisturbed", "interrupted"):
        storage = optuna.storages.InMemoryStorage()
        if name == "interrupted":
            Late.stops.append(True)
            with pytest.raises(KeyboardInterrupt):
                train(search, small, storage, tmp_path / name)
        found = train(search, small, storage, tmp_path / name)
        weights.append(candidate(found, 0).network.state_dict())
    assert found.study.trials[-1].user_attrs["spent"]["epochs"] == 0
    assert all(torch.equal(weight, weights[1][n]) for n, weight in weights[0].items())


def test_patience_needs_a_value_that_is_logged_while_a_network_trains(tmp_path: Path) -> None:
    search = describe_search(objectives=["parameters"])
    small = Finalist("linear", "reference", linear)
    with pytest.raises(DescriptionError, match="beside patience or keep_best, got parameters"):
        Retraining(patience=3).search(search, small, tmp_path)


def test_each_seed_is_a_training_of_its_own_and_ends_in_the_same_values_again(
    finish: Finish, search: nas.Search, study: optuna.Study
) -> None:
    found = finish().finals[0].retrained
    accuracies = found.values("accuracy")
    assert list(accuracies) == [0, 1]
    assert found.values("parameters")[0] == found.values("parameters")[1]
    assert found.mean("accuracy") == pytest.approx(np.mean([*accuracies.values()]))
    assert found.deviation("accuracy") == pytest.approx(np.std([*accuracies.values()], ddof=1))
    other = finish(replace(RECIPE, label="again"), compare=False, reason="to compare")
    assert other.finals[0].retrained.values("accuracy") == accuracies


def test_hyperparameters_that_were_searched_are_kept(tmp_path: Path) -> None:
    joint = nas.spaces.Joint(
        nas.spaces.CNN(input_shape=(1, 8, 8), blocks=(1, 1), channels=(8,)),
        learning_rate=(0.01, 0.02),
        batch_size=(64, 128),
    )
    search = describe_search(space=joint, objectives=["accuracy"])
    study = search.run(trials=2, storage=f"sqlite:///{tmp_path}/joint.db")
    recipe = replace(RECIPE, seeds=1)
    chosen = choose_finalists(search, study)
    finalist = run_finals(search, study, chosen, recipe, compare=False).finals[0]
    own, drawn = finalist.retrained.search, chosen[0].hyperparameters
    assert own.data.batch_size == drawn["batch_size"]
    assert own.module(nn.Identity()).learning_rate == drawn["learning_rate"]


def test_the_average_forgets_where_it_began() -> None:
    average = Averaging(0.99)
    value = torch.tensor(100.0)
    for step in range(100):
        value = average._averaged(value, torch.tensor(0.0), step)
    assert abs(float(value)) < 1e-3
    counted = torch.tensor(3)
    assert average._averaged(torch.tensor(1), counted, 5) is counted


def test_finalists_have_no_caps() -> None:
    capped = nas.objectives.Weighted(
        linear={"accuracy": 1, nas.objectives.Parameters(max=10): -1e-6}, min=0.9
    )
    free = uncapped(capped)
    assert free.min is None
    assert all(part.max is None for part in free.parts)


@pytest.mark.parametrize("wrong", [{"seeds": 0}, {"epochs": 0}, {"patience": 0}, {"average": 1.0}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(DescriptionError, match=next(iter(wrong))):
        Retraining(**wrong)
