"""Arrays in memory as a LightningDataModule."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import ArrayLike
from torch.utils.data import DataLoader

from optuna_nas.datasets.batches import TensorData, loader
from optuna_nas.datasets.checks import (
    Array,
    check_categories,
    check_column,
    check_inputs,
    check_targets,
)
from optuna_nas.datasets.splits import (
    Indices,
    Splits,
    grouped,
    shuffled,
    stratified,
    stratified_groups,
    temporal,
)
from optuna_nas.exceptions import DataError

__all__ = ["ArrayDataModule"]


class ArrayDataModule(LightningDataModule):
    """Arrays, split once by a seed into training, validation and a sealed test.

    Targets of integers, booleans or strings are classes, and are stratified; targets of floats
    are values of a regression. `setup("fit")` prepares training and validation; the test
    split exists only after `setup("test")`, which a search never calls.

    Args:
        x: Inputs (N, C, H, W), (N, F) or any (N, ...), finite numbers.
        y: Targets (N,), or (N, K) for a regression of K values.
        validation: Share of the samples (of the groups, where given) for validation.
        test: Share for the test, 0 for none; or whether each sample (N,) is of the test, as where
            one is published.
        seed: Decides the splits and the order of training samples.
        groups: Group of each sample (N,); no group is in two splits.
        times: Time of each sample (N,); training is earlier than validation, that than the test.
        stratify: Whether each split has the classes in the proportions of the whole; by default
            where there are classes and neither groups nor times. With groups, a group counts as
            one of its rarest class.
        standardise: Scale each channel (or feature) to mean 0 and deviation 1 over the
            training split.
        categorical: Columns of x (N, F) that hold numbers of categories, from 0; they are not
            scaled.
        batch_size: Samples in a training batch.
        **options: Options of the DataLoaders, such as `num_workers` or `pin_memory`.

    Attributes:
        categories: Column -> number of its categories, of the categorical columns.
        classes: The classes, by their numbers; None for a regression.

    Raises:
        DataError: Arrays that do not fit each other, inputs that are not finite, shares that leave
            a split empty, a class too rare to be in every split, or categorical columns that hold
            no numbers of categories.
    """

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        validation: float = 0.2,
        test: float | ArrayLike = 0.2,
        seed: int = 0,
        groups: ArrayLike | None = None,
        times: ArrayLike | None = None,
        stratify: bool | None = None,
        standardise: bool = True,
        categorical: Sequence[int] = (),
        batch_size: int = 64,
        **options: Any,
    ) -> None:
        super().__init__()
        self.seed = seed
        self.batch_size = batch_size
        self.standardise = standardise
        self._options = options
        self._x = check_inputs(x)
        self.categories = check_categories(self._x, categorical)
        self.classes, self._y = check_targets(y, len(self._x))
        self._splits = self._split(validation, test, groups, times, stratify)
        self._ready: dict[str, TensorData] = {}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self._x.shape[1:])

    @property
    def outputs(self) -> int:
        """Number of classes, or of values of a regression."""
        if self.classes is not None:
            return len(self.classes)
        return 1 if self._y.ndim == 1 else int(self._y.shape[1])

    @property
    def split_sizes(self) -> dict[str, int]:
        """Samples of each split, by its name."""
        return {name: len(split) for name, split in self._splits._asdict().items()}

    @property
    def class_counts(self) -> Array | None:
        """Samples of each class (classes,) in the training split; None for a regression."""
        if self.classes is None:
            return None
        return np.bincount(self._y[self._splits.train], minlength=len(self.classes))

    @property
    def target_statistics(self) -> tuple[Array, Array] | None:
        """Mean and deviation of a regression's targets over the training split; else None."""
        if self.classes is not None:
            return None
        y = self._y[self._splits.train].astype(np.float64)
        deviation = y.std(0)
        return y.mean(0), np.where(deviation > 0, deviation, 1.0)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the data, the splits and how they are served, in hexadecimal."""
        digest = hashlib.sha256()
        for array in (self._x, self._y, *self._splits):
            digest.update(f"{array.dtype} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).data)
        served = [self.seed, self.batch_size, self.standardise, *self.categories]
        digest.update(json.dumps(served).encode())
        return digest.hexdigest()

    def setup(self, stage: str | None = None) -> None:
        """Prepare training and validation for "fit" or "validate", the test for "test" only."""
        names = ("test",) if stage == "test" else ("train", "validation")
        for name in names:
            if name not in self._ready:
                self._ready[name] = self._load(name)

    def teardown(self, stage: str | None = None) -> None:
        """Seal the test again once it has been run."""
        if stage == "test":
            self._ready.pop("test", None)

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches in an order that depends on the seed and the epoch."""
        return loader(self._data("train"), self.batch_size, self.seed, **self._options)

    def val_dataloader(self) -> DataLoader[Any]:
        """Batches in the order of the data, larger than in training."""
        return loader(self._data("validation"), self._evaluated, None, **self._options)

    def test_dataloader(self) -> DataLoader[Any]:
        """Batches of the test split.

        Raises:
            DataError: The test is sealed: `setup("test")` has not been called.
        """
        return loader(self._data("test"), self._evaluated, None, **self._options)

    @property
    def _evaluated(self) -> int:
        """Samples in a batch that needs no gradients, and so less memory."""
        return 4 * self.batch_size

    def _split(
        self,
        validation: float,
        test: float | ArrayLike,
        groups: ArrayLike | None,
        times: ArrayLike | None,
        stratify: bool | None,
    ) -> Splits:
        size = len(self._x)
        held = None if np.ndim(test) == 0 else np.flatnonzero(check_column("test", test, size))
        rest = np.arange(size) if held is None else np.setdiff1d(np.arange(size), held)
        share = 0.0 if held is not None else float(np.asarray(test))
        _check_shares(validation, share)
        by_class = (groups is None and times is None) if stratify is None else stratify
        if times is not None and (groups is not None or by_class):
            raise DataError("expected times without groups and stratify=True, got both")
        keys = None if groups is None else check_column("groups", groups, size)[rest]
        when = None if times is None else check_column("times", times, size)[rest]
        labels = self._y[rest] if by_class and self.classes is not None else None
        splits = self._cut(len(rest), validation, share, keys, when, labels)
        train, valid, test_ = (rest[split] for split in splits)
        splits = Splits(train, valid, test_ if held is None else held)
        _check_splits(splits, held is not None or share > 0)
        return splits

    def _cut(
        self,
        size: int,
        validation: float,
        test: float,
        groups: Array | None,
        times: Array | None,
        labels: Indices | None,
    ) -> Splits:
        if groups is not None:
            numbers = np.unique(groups, return_inverse=True)[1]
            if labels is not None:
                return stratified_groups(numbers, labels, validation, test, self.seed)
            return grouped(numbers, validation, test, self.seed)
        if times is not None:
            return temporal(times, validation, test)
        if labels is not None:
            return stratified(labels, validation, test, self.seed)
        return shuffled(size, validation, test, self.seed)

    def _load(self, name: str) -> TensorData:
        chosen: Array = getattr(self._splits, name)
        x: Array = self._x[chosen]
        if self.standardise:
            mean, deviation = self._statistics
            x = (x - mean) / deviation
        return TensorData(
            torch.from_numpy(x.astype(np.float32)), torch.from_numpy(self._y[chosen])
        )

    @cached_property
    def _statistics(self) -> tuple[Array, Array]:
        """Mean and deviation over the training split, float64 of shape (C, 1, 1) or (F,)."""
        x = self._x[self._splits.train]
        axes = (0, *range(2, x.ndim))
        mean = x.mean(axes, dtype=np.float64, keepdims=True)[0]
        deviation = x.std(axes, dtype=np.float64, keepdims=True)[0]
        rounding = 10 * np.finfo(np.float64).eps * np.abs(mean)  # what a constant feature shows
        deviation[deviation <= rounding] = 1.0
        if self.categories:
            mean[[*self.categories]], deviation[[*self.categories]] = 0.0, 1.0
        return mean, deviation

    def _data(self, name: str) -> TensorData:
        if name not in self._ready:
            stage = "test" if name == "test" else "fit"
            raise DataError(f"the {name} split is sealed: call setup({stage!r}) first")
        return self._ready[name]


def _check_shares(validation: float, test: float) -> None:
    if not (0 < validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise DataError(
            "expected 0 < validation, 0 <= test and validation + test < 1, "
            f"got validation={validation}, test={test}"
        )


def _check_splits(splits: Splits, tested: bool) -> None:
    for name, split in splits._asdict().items():
        if not len(split) and (name != "test" or tested):
            sizes = {n: len(s) for n, s in splits._asdict().items()}
            raise DataError(f"expected samples in every split, got {sizes}; change the shares")
