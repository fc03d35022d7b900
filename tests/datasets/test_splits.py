"""Laws of the splits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optuna_nas.datasets.splits import (
    Splits,
    grouped,
    shuffled,
    stratified,
    stratified_groups,
    temporal,
)
from optuna_nas.exceptions import DataError

SHARES = st.sampled_from([0.1, 0.2, 0.3])
TESTS = st.sampled_from([0.0, 0.1, 0.25])
SEEDS = st.integers(0, 2**32 - 1)


def is_partition(splits: Splits, size: int) -> bool:
    return sorted(np.concatenate(splits).tolist()) == list(range(size))


@settings(deadline=None)
@given(st.integers(40, 200), SHARES, TESTS, SEEDS)
def test_every_sample_is_in_one_split(
    size: int, validation: float, test: float, seed: int
) -> None:
    groups, labels = np.arange(size) // 2, np.arange(size) % 2
    for splits in (
        shuffled(size, validation, test, seed),
        grouped(groups, validation, test, seed),
        stratified(labels, validation, test, seed),
        stratified_groups(groups, groups % 2, validation, test, seed),
        temporal(np.arange(size) // 2, validation, test),
    ):
        assert is_partition(splits, size)


@settings(deadline=None)
@given(SEEDS)
def test_the_seed_decides(seed: int) -> None:
    labels = np.arange(60) % 3
    first, second = stratified(labels, 0.2, 0.2, seed), stratified(labels, 0.2, 0.2, seed)
    assert all(map(np.array_equal, first, second))


def test_shares_are_of_the_whole() -> None:
    assert [len(split) for split in shuffled(100, 0.3, 0.1, 0)] == [60, 30, 10]


@settings(deadline=None)
@given(SEEDS)
def test_classes_keep_their_proportions(seed: int) -> None:
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    for split in stratified(labels, 0.2, 0.2, seed):
        counts = np.bincount(labels[split], minlength=3) / len(split)
        np.testing.assert_allclose(counts, [100 / 160, 50 / 160, 10 / 160], atol=0.02)


@settings(deadline=None)
@given(st.lists(st.integers(0, 12), min_size=60, max_size=60), SEEDS)
def test_no_group_is_in_two_splits(groups: list[int], seed: int) -> None:
    array = np.array(groups)
    if len(set(groups)) < 5:
        return
    train, validation, test = (set(array[split]) for split in grouped(array, 0.2, 0.2, seed))
    assert not (train & validation or train & test or validation & test)


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=60, max_size=60), SEEDS)
def test_groups_are_stratified_by_their_rarest_class(sizes: list[int], seed: int) -> None:
    groups = np.repeat(np.arange(60), sizes)
    labels = np.repeat(np.arange(60) % 6 == 0, sizes).astype(np.int64)
    common = np.r_[np.zeros(600, np.int64), labels]  # an ordinary sample in every group
    groups = np.r_[np.arange(600) % 60, groups]
    for split in stratified_groups(groups, common, 0.3, 0.3, seed):
        rare = set(groups[split][common[split] == 1])
        assert (len(rare), len(set(groups[split]))) in ((4, 24), (3, 18))
        assert all(np.isin(np.flatnonzero(groups == group), split).all() for group in rare)


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=30, max_size=90))
def test_training_is_earlier_than_validation_and_that_than_the_test(times: list[int]) -> None:
    array = np.array(times)
    splits = [array[split] for split in temporal(array, 0.2, 0.2)]
    filled = [split for split in splits if len(split)]
    for earlier, later in pairwise(filled):
        assert earlier.max() < later.min()


def test_dates_are_times() -> None:
    days = np.arange("2026-01-01", "2026-01-11", dtype="datetime64[D]")[::-1]
    train, validation, test = temporal(days, 0.2, 0.2)
    assert (train.tolist(), validation.tolist(), test.tolist()) == (
        [*range(4, 10)],
        [2, 3],
        [0, 1],
    )


def test_a_class_too_rare_is_named() -> None:
    with pytest.raises(DataError, match="cannot be split"):
        stratified(np.array([0] * 20 + [1]), 0.2, 0.2, 0)
    with pytest.raises(DataError, match="none of class 1, which has 3 samples"):
        stratified(np.array([0] * 200 + [1] * 3), 0.05, 0.05, 0)


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be split"):
        grouped(np.array([0, 0, 1, 1]), 0.2, 0.2, 0)
