"""Arrays as data: locked splits, a sealed test, batches that depend on seed and epoch."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn

from optuna_nas.datasets import ArrayDataModule
from optuna_nas.exceptions import DataError
from optuna_nas.model import Classifier

X = np.random.default_rng(0).normal(3, 5, size=(100, 3, 4, 4))
Y = np.arange(100) % 4


def batches(data: ArrayDataModule, epoch: int = 0) -> list[torch.Tensor]:
    data.setup("fit")
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return [x for x, _ in loader]


def fit(module: LightningModule, data: ArrayDataModule, epochs: int = 1) -> Trainer:
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=data)
    return trainer


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 4))


def test_says_what_a_network_needs_to_know() -> None:
    data = ArrayDataModule(X, np.array(list("abcd"))[Y])
    assert (data.input_shape, data.outputs, data.classes) == ((3, 4, 4), 4, ("a", "b", "c", "d"))


def test_floats_are_a_regression() -> None:
    data = ArrayDataModule(X, Y[:, None] * [0.5, 1.0, 2.0])
    assert (data.outputs, data.classes) == (3, None)
    assert ArrayDataModule(X, Y * 0.5).outputs == 1


def test_the_splits_have_their_shares() -> None:
    data = ArrayDataModule(X, Y, validation=0.2, test=0.12)
    data.setup("fit")
    data.setup("test")
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    assert [len(loader.dataset) for loader in loaders] == [68, 20, 12]


def test_inputs_are_standardised_by_the_training_split() -> None:
    data = ArrayDataModule(X, Y, batch_size=100)
    (x,) = batches(data)
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std((0, 2, 3), correction=0), torch.ones(3))
    validation, _ = next(iter(data.val_dataloader()))
    assert validation.mean((0, 2, 3)).abs().max() > 1e-3


def test_a_constant_feature_stays_finite() -> None:
    assert all(torch.isfinite(x).all() for x in batches(ArrayDataModule(np.ones((20, 3)), Y[:20])))


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.int64])
def test_statistics_are_exact_in_any_precision(kind: type) -> None:
    large = 1.7e9 if kind in (np.float64, np.int64) else 3e4
    x = (large + 10 * np.random.default_rng(0).integers(-99, 99, (100, 3))).astype(kind)
    data = ArrayDataModule(x, Y, batch_size=100)
    data.setup("fit")
    assert float(torch.cat(batches(data)).std()) == pytest.approx(1.0, abs=0.1)


def test_a_feature_constant_in_training_is_not_blown_up() -> None:
    x = np.full((100, 2), 0.1)
    x[:, 1] = np.arange(100)
    data = ArrayDataModule(x, Y, batch_size=100)
    data.setup("fit")
    x[np.setdiff1d(np.arange(100), data._splits.train), 0] = 0.2
    changed = ArrayDataModule(x, Y, batch_size=100)
    changed.setup("fit")
    assert all(batch[0].abs().max() < 10 for batch in changed.val_dataloader())


def test_inputs_are_left_alone_on_request() -> None:
    data = ArrayDataModule(X, Y, standardise=False, batch_size=100)
    expected = torch.from_numpy(X.astype(np.float32)).sum()
    data.setup("test")
    parts = [*batches(data), *(next(iter(data.val_dataloader()))[:1])]
    total = sum(part.sum() for part in [*parts, next(iter(data.test_dataloader()))[0]])
    torch.testing.assert_close(total, expected, rtol=1e-4, atol=0.1)


TABLE = np.column_stack([np.arange(100) * 7.0, np.arange(100) % 3, np.arange(100) % 2])


def test_categories_are_counted_and_not_scaled() -> None:
    data = ArrayDataModule(TABLE, Y, categorical=(2, 1), batch_size=100)
    assert data.categories == {1: 3, 2: 2}
    (x,) = batches(data)
    assert [set(column.unique().tolist()) for column in x[:, 1:].T] == [{0, 1, 2}, {0, 1}]
    torch.testing.assert_close(x[:, 0].std(correction=0), torch.tensor(1.0))


def test_categories_are_a_part_of_what_the_data_is() -> None:
    scaled, left = ArrayDataModule(TABLE, Y), ArrayDataModule(TABLE, Y, categorical=(1,))
    assert scaled.categories == {}
    assert scaled.fingerprint != left.fingerprint


@pytest.mark.parametrize(
    ("x", "columns", "message"),
    [
        (TABLE, (3,), r"columns of x \(N, F\), from 0, got \(3,\)"),
        (TABLE, (-1,), r"columns of x \(N, F\), from 0, got \(-1,\)"),
        (X, (0,), r"columns of x \(N, F\).*shape \(100, 3, 4, 4\)"),
        (TABLE / 2, (1,), r"column 1 to hold numbers of categories.*0.5"),
        (TABLE - 1, (2,), r"column 2 to hold numbers of categories.*-1"),
    ],
)
def test_columns_that_hold_no_categories_are_refused(x: Any, columns: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ArrayDataModule(x, Y, categorical=columns)


class TestSeal:
    def test_the_test_is_sealed_until_it_is_run(self) -> None:
        data = ArrayDataModule(X, Y)
        data.setup("fit")
        with pytest.raises(DataError, match=r"test split is sealed: call setup\('test'\) first"):
            data.test_dataloader()
        data.setup("test")
        assert len(data.test_dataloader().dataset) == 20
        data.teardown("test")
        with pytest.raises(DataError, match="sealed"):
            data.test_dataloader()

    def test_training_needs_its_setup(self) -> None:
        with pytest.raises(DataError, match=r"train split is sealed: call setup\('fit'\) first"):
            ArrayDataModule(X, Y).train_dataloader()

    @pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
    @pytest.mark.filterwarnings("ignore:.*smaller than the logging interval.*")
    def test_a_fit_never_touches_the_test(self) -> None:
        """Poisoning every sample of the test changes nothing."""
        weights = []
        for poison in (0.0, np.nan):
            data = ArrayDataModule(X, Y, seed=1)
            data._x = data._x.copy()
            data._x[data._splits.test] += poison
            torch.manual_seed(0)
            module = Classifier(network())
            fit(module, data, epochs=2)
            weights.append(nn.utils.parameters_to_vector(module.parameters()))
            assert "test" not in data._ready
        assert torch.equal(*weights)


class TestOrder:
    def test_the_seed_and_the_epoch_decide(self) -> None:
        def order(seed: int, epoch: int) -> torch.Tensor:
            return torch.cat(batches(ArrayDataModule(X, Y, seed=seed, batch_size=16), epoch))

        assert torch.equal(order(1, 3), order(1, 3))
        assert not torch.equal(order(1, 3), order(1, 4))

    @pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
    @pytest.mark.filterwarnings("ignore:.*smaller than the logging interval.*")
    def test_lightning_tells_the_epoch(self) -> None:
        seen: list[torch.Tensor] = []

        class Spy(Classifier):
            def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
                seen.append(batch[0])
                return super().training_step(batch, batch_idx)

        data = ArrayDataModule(X, Y, batch_size=30)
        fit(Spy(network()), data, epochs=3)
        expected = [x for epoch in range(3) for x in batches(data, epoch)]
        assert len(seen) == len(expected)
        assert all(map(torch.equal, seen, expected))

    @pytest.mark.parametrize(("samples", "sizes"), [(60, [16, 16, 4]), (55, [16, 16]), (10, [6])])
    def test_a_last_batch_of_one_is_left_out(self, samples: int, sizes: list[int]) -> None:
        data = ArrayDataModule(X[:samples], Y[:samples], batch_size=16, stratify=False)
        assert [len(x) for x in batches(data)] == sizes


def test_a_published_test_is_taken_as_it_is() -> None:
    test = np.arange(100) >= 70
    for options in ({}, {"groups": np.arange(100) // 2}, {"times": np.arange(100)}):
        data = ArrayDataModule(X, Y, validation=0.3, test=test, **options)
        assert data._splits.test.tolist() == list(range(70, 100))
        assert len(data._splits.validation) in (21, 22)
        assert sorted(np.concatenate(data._splits)) == list(range(100))


def test_classes_are_counted_in_the_training_split() -> None:
    data = ArrayDataModule(X, np.minimum(Y, 1), validation=0.3, test=0.2)
    counts = data.class_counts
    assert counts is not None
    assert counts.tolist() == np.bincount(data._y[data._splits.train]).tolist()
    assert counts.sum() == 50
    assert counts[1] > 2 * counts[0]
    assert ArrayDataModule(X, Y * 0.5).class_counts is None


class TestFingerprint:
    def test_is_that_of_equal_data(self) -> None:
        first, second = ArrayDataModule(X, Y).fingerprint, ArrayDataModule(X, Y).fingerprint
        assert first == second
        assert len(first) == 64

    @pytest.mark.parametrize(
        "change",
        [
            {"x": X + 1},
            {"y": Y[::-1]},
            {"seed": 1},
            {"validation": 0.3},
            {"batch_size": 32},
            {"standardise": False},
            {"groups": np.arange(100) // 4},
            {"test": np.arange(100) % 5 == 0},
        ],
        ids=str,
    )
    def test_changes_with_what_a_training_depends_on(self, change: dict[str, Any]) -> None:
        changed = ArrayDataModule(**{"x": X, "y": Y, **change})
        assert changed.fingerprint != ArrayDataModule(X, Y).fingerprint

    def test_survives_pickling(self) -> None:
        data = ArrayDataModule(X, Y)
        assert pickle.loads(pickle.dumps(data)).fingerprint == data.fingerprint


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": Y[:90]}, "as many targets as inputs, got 90 and 100"),
        ({"x": X[:, 0, 0, 0]}, r"got float64 of shape \(100,\)"),
        ({"x": X.astype(str)}, "expected x of numbers"),
        ({"x": np.where(X > 15, np.nan, X)}, "expected finite x, got NaN or infinity in"),
        ({"y": np.where(Y == 1, np.nan, Y)}, "expected finite y"),
        ({"y": Y[:, None]}, r"y of shape \(100,\), got \(100, 1\)"),
        ({"validation": 0.0}, "got validation=0.0, test=0.2"),
        ({"validation": 0.5, "test": 0.5}, r"validation \+ test < 1"),
        ({"groups": Y, "times": Y}, "times without groups and stratify=True"),
        ({"test": Y[:9]}, r"test of shape \(100,\), got \(9,\)"),
        ({"test": np.zeros(100, bool)}, "samples in every split, got .*'test': 0"),
        ({"test": np.ones(100, bool)}, "0 samples cannot be split"),
        ({"groups": Y[:9]}, r"groups of shape \(100,\), got \(9,\)"),
        ({"times": np.zeros(100)}, "samples in every split, got {'train': 0"),
        ({"times": np.full(100, np.nan)}, "times without NaN"),
        ({"y": np.arange(100)}, "cannot be split"),
    ],
)
def test_data_that_cannot_be_used_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ArrayDataModule(**{"x": X, "y": Y, **arguments})
