"""What is known of data that a user brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Subset, TensorDataset

from optuna_nas.datasets import ArrayDataModule, Digits, fingerprint, input_shape, outputs
from optuna_nas.exceptions import DataError


class Own(LightningDataModule):
    """Without any attribute that this package knows."""

    def __init__(self, scale: float = 1.0, array: Any = None, folder: str = "here") -> None:
        super().__init__()
        self.scale = scale
        self.array = np.zeros(3) if array is None else array
        self.folder = Path(folder)

    def setup(self, stage: str) -> None:
        assert stage == "fit", "only training may be prepared"
        self.x = torch.zeros(8, 3, 5, 5) + self.scale

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(TensorDataset(self.x, torch.zeros(8)), batch_size=4)


class Dictionaries(Own):
    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader([{"x": row} for row in self.x])


def test_declared_facts_are_taken() -> None:
    data = Digits()
    assert (input_shape(data), outputs(data)) == ((1, 8, 8), 10)
    assert fingerprint(data) == data.fingerprint


def test_the_shape_is_found_in_a_batch() -> None:
    assert input_shape(Own()) == (3, 5, 5)


def test_unknown_outputs_are_none() -> None:
    assert outputs(Own()) is None


def test_other_batches_must_be_declared() -> None:
    with pytest.raises(DataError, match=r"got dict; give Dictionaries an `input_shape`"):
        input_shape(Dictionaries())


def test_the_fingerprint_does_not_depend_on_who_asks_first() -> None:
    first, second = Own(), Own()
    input_shape(first)
    assert fingerprint(first) == fingerprint(second) == fingerprint(first)


@pytest.mark.parametrize(
    "other",
    [
        Own(2.0),
        Own(array=np.ones(3)),
        Own(array=torch.ones(3)),
        Own(folder="there"),
        Dictionaries(),
    ],
)
def test_the_fingerprint_changes_with_the_data(other: LightningDataModule) -> None:
    assert fingerprint(other) != fingerprint(Own())


def test_saved_hyperparameters_count() -> None:
    class Saved(ArrayDataModule):
        fingerprint = None

        def __init__(self, name: str) -> None:
            super().__init__(np.zeros((20, 2)), np.arange(20) % 2)
            self.save_hyperparameters()

    assert fingerprint(Saved("a")) == fingerprint(Saved("a")) != fingerprint(Saved("b"))


def test_a_class_without_source_must_declare_it() -> None:
    scope: dict[str, Any] = {"LightningDataModule": LightningDataModule, "__name__": "__prompt__"}
    exec("class Typed(LightningDataModule): pass", scope)
    with pytest.raises(DataError, match="source of Typed cannot be read; give it a `fingerprint`"):
        fingerprint(scope["Typed"]())


@pytest.mark.parametrize(
    "make",
    [
        lambda last: np.array(["a", last], dtype=object),
        lambda last: np.array(["2026-01-01", f"2026-01-0{len(last) + 1}"], dtype="datetime64[D]"),
        lambda last: torch.tensor([1.0, float(len(last))], dtype=torch.bfloat16),
        lambda last: TensorDataset(torch.tensor([1.0, float(len(last))])),
        lambda last: Subset(TensorDataset(torch.arange(9)), [0, len(last)]),
    ],
    ids=["objects", "dates", "bfloat16", "dataset", "subset"],
)
def test_arrays_of_every_kind_are_told_apart(make: Any) -> None:
    assert fingerprint(Own(array=make("b"))) == fingerprint(Own(array=make("b")))
    assert fingerprint(Own(array=make("b"))) != fingerprint(Own(array=make("ccc")))
