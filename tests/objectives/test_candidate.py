"""A candidate's data: the splits that it was trained on, and never the test."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset, random_split

import optuna_nas as nas
from optuna_nas.exceptions import DataError
from optuna_nas.objectives import Candidate, Measurement, Objective

SERVED: list[torch.Tensor] = []
"""Targets of every validation set that was served."""


class RandomlySplit(LightningDataModule):
    """Data that is split at random without a seed, forgets it all, and has a sealed test."""

    fingerprint = "noise"
    input_shape, outputs = (4,), 2

    def prepare_data(self) -> None:
        self.prepared = True

    def setup(self, stage: str) -> None:
        assert self.prepared and stage == "fit"
        x = torch.randn(90, 4, generator=torch.Generator().manual_seed(0))
        data = TensorDataset(x, (x[:, 0] > 0).long(), torch.arange(90))
        self.train, self.validation = random_split(data, [60, 30])

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        x, y, _ = batch
        return x, y

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        x, y = batch
        return 10 * x, y

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.train, 15, shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        SERVED.append(torch.tensor(self.validation.indices))
        return DataLoader(self.validation, 15)

    def test_dataloader(self) -> DataLoader[Any]:
        raise AssertionError("the test split is sealed")

    def teardown(self, stage: str) -> None:
        del self.train, self.validation


@dataclass(frozen=True, kw_only=True)
class FirstInput(Objective):
    """What is first in the batches, which depends on the split and on the shuffling."""

    name: str = "first"
    unit: str = ""
    direction: str = "maximize"
    stage = "trained"

    def __call__(self, candidate: Candidate) -> Measurement:
        train, validation = (
            next(candidate.batches(split))[0] for split in ("train", "validation")
        )
        assert train.shape == validation.shape == (15, 4)
        assert validation.std() > 5  # the hooks of the data were called
        return Measurement(float(train[0, 0]), details={"validation": float(validation[0, 0])})


def space(trial) -> nas.Architecture:
    width = 4 * trial.suggest_int("width", 1, 50)
    return nas.Architecture.chain(
        [("hidden", "linear", {"features": width}), ("head", "classify", {})]
    )


@pytest.fixture
def served() -> Iterator[list[torch.Tensor]]:
    SERVED.clear()
    yield SERVED
    SERVED.clear()


def test_a_search_measures_on_the_split_that_it_validates_on(served, tmp_path) -> None:
    search = nas.Search(
        name="splits",
        space=space,
        data=RandomlySplit(),
        objectives=[nas.objectives.Accuracy(), FirstInput()],
        fidelity=nas.Budget(epochs=1),
        trials=2,
    )
    found = []
    for name in ("one", "two"):
        study = search.run(storage=f"sqlite:///{tmp_path}/{name}.db")
        found.append([trial.user_attrs["measurements"]["first"] for trial in study.trials])
        assert all(trial.user_attrs["outcome"] == "trained" for trial in study.trials)
    assert found[0] == found[1]
    assert len(served) >= 4
    assert all(torch.equal(indices, served[0]) for indices in served)
    other = replace(search, name="other", seed=1)
    other.run(trials=1, storage=f"sqlite:///{tmp_path}/other.db")
    assert not torch.equal(served[0], served[-1])


def test_the_test_split_stays_sealed() -> None:
    data = nas.datasets.Digits()
    candidate = Candidate(torch.nn.Flatten(), (1, 8, 8), data=data)
    for split, share in (("train", 0.6), ("validation", 0.2)):
        count = sum(len(y) for _, y in candidate.batches(split))
        assert count == pytest.approx(share * 1797, abs=2)
    with pytest.raises(DataError, match="test split is sealed"):
        data.test_dataloader()


def test_data_that_is_not_there_or_of_another_kind_is_asked_for() -> None:
    with pytest.raises(DataError, match=r"Candidate\(data=\.\.\.\)"):
        next(Candidate(torch.nn.Flatten(), (4,)).batches("train"))

    class Alone(RandomlySplit):
        def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            return {"x": batch[0]}

        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            return batch

    with pytest.raises(DataError, match=r"validation batches of two tensors .* got dict"):
        next(Candidate(torch.nn.Flatten(), (4,), data=Alone()).batches("validation"))
