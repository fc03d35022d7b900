"""Fashion-MNIST: the published test is the sealed one, a smaller size keeps the classes equal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from optuna_nas.datasets import DATASETS, FashionMNIST
from optuna_nas.exceptions import DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files in the published form, 200 and 50 images of noise."""
    made = tmp_path_factory.mktemp("fashion")
    generator = np.random.default_rng(0)
    for name, size in (("train", 200), ("test", 50)):
        x = generator.integers(0, 256, (size, 28, 28), dtype=np.uint8)
        np.savez(made / f"fashion_mnist_{name}.npz", x=x, y=np.arange(size) % 10)
    return made


def images(data: FashionMNIST, split: str) -> set[bytes]:
    return {row.numpy().tobytes() for row in data._load(split).x}


def test_the_published_test_is_the_sealed_one(folder: Path) -> None:
    data = DATASETS["fashion_mnist"](folder, standardise=False)
    assert (data.input_shape, data.outputs) == ((1, 28, 28), 10)
    with pytest.raises(DataError, match="sealed"):
        data.test_dataloader()
    data.setup("test")
    x, y = next(iter(data.test_dataloader()))
    with np.load(folder / "fashion_mnist_test.npz") as held:
        np.testing.assert_array_equal(x[:, 0].numpy(), held["x"])
        np.testing.assert_array_equal(y.numpy(), held["y"])


def test_training_and_validation_are_parts_of_the_first_file(folder: Path) -> None:
    data = FashionMNIST(folder, standardise=False)
    splits = [images(data, split) for split in ("train", "validation", "test")]
    assert [len(split) for split in splits] == [166, 34, 50]
    assert len(set.union(*splits)) == 250


def test_a_smaller_size_draws_as_many_of_each_class_by_the_seed(folder: Path) -> None:
    whole = FashionMNIST(folder, standardise=False)
    few, again, other = (
        FashionMNIST(folder, size=60, validation=0.5, seed=seed, standardise=False)
        for seed in (0, 0, 1)
    )
    assert few.class_counts.tolist() == [3] * 10
    assert images(few, "train") < images(whole, "train") | images(whole, "validation")
    assert images(few, "test") == images(whole, "test")
    assert few.fingerprint == again.fingerprint != other.fingerprint
    assert images(few, "train") != images(other, "train")


@pytest.mark.parametrize("size", [0, 9, 195, 300])
def test_a_size_that_there_is_not_is_refused(folder: Path, size: int) -> None:
    with pytest.raises(DataError, match=f"10 to 190 images, or all 200, got {size}"):
        FashionMNIST(folder, size=size)
    assert len(FashionMNIST(folder, size=200)._x) == 250


def test_the_published_files_are_read(data_file: Callable[[str], Path]) -> None:
    data = FashionMNIST(data_file("fashion_mnist_train.npz").parent)
    assert data.class_counts.tolist() == [5000] * 10
    assert [len(split) for split in data._splits] == [50_000, 10_000, 10_000]
