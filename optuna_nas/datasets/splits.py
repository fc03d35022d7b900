"""Which samples are for training, which for validation and which for the test.

Shares are fractions of all samples. Every function returns the sorted indices of the three splits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit

from optuna_nas.exceptions import DataError

__all__ = [
    "Indices",
    "Splits",
    "grouped",
    "shuffled",
    "stratified",
    "stratified_groups",
    "temporal",
]

Indices = NDArray[np.int64]


class Splits(NamedTuple):
    """Indices of the samples of each split, sorted."""

    train: Indices
    validation: Indices
    test: Indices


def shuffled(size: int, validation: float, test: float, seed: int) -> Splits:
    """Split at random."""
    everything = np.arange(size)
    rest, held = _cut(ShuffleSplit, everything, None, test, seed)
    train, valid = _cut(ShuffleSplit, rest, None, validation / (1 - test), seed)
    return Splits(train, valid, held)


def stratified(labels: Indices, validation: float, test: float, seed: int) -> Splits:
    """Split so that every split has the classes in the proportions of the whole.

    Raises:
        DataError: A class too rare to be in every split.
    """
    rest, held = _cut(StratifiedShuffleSplit, np.arange(len(labels)), labels, test, seed)
    share = validation / (1 - test)
    train, valid = _cut(StratifiedShuffleSplit, rest, labels, share, seed)
    splits = Splits(train, valid, held)
    for name, split in splits._asdict().items():
        missing = np.setdiff1d(labels, labels[split])
        if len(split) and len(missing):
            raise DataError(
                f"expected every class in the {name} split, got none of class {missing[0]}, which "
                f"has {int((labels == missing[0]).sum())} samples; merge rare classes, or split "
                "with stratify=False"
            )
    return splits


def grouped(groups: Indices, validation: float, test: float, seed: int) -> Splits:
    """Split so that no group is in two splits; shares are of groups.

    Raises:
        DataError: Fewer groups than splits.
    """
    rest, held = _cut(GroupShuffleSplit, np.arange(len(groups)), groups, test, seed)
    share = validation / (1 - test)
    train, valid = _cut(GroupShuffleSplit, rest, groups, share, seed)
    return Splits(train, valid, held)


def stratified_groups(
    groups: Indices, labels: Indices, validation: float, test: float, seed: int
) -> Splits:
    """Split so that no group is in two splits, and every split has the classes in proportion.

    Proportions and shares are of groups, each of which counts as one of its rarest class.

    Args:
        groups: Number of each sample's group, from 0 without gaps.
        labels: Number of each sample's class.
        validation: Share for validation.
        test: Share for the test.
        seed: Decides the splits.

    Raises:
        DataError: A class in too few groups to be in every split.
    """
    common_first = np.argsort(-np.bincount(labels), kind="stable")
    rarity = np.argsort(common_first)[labels]
    rarest = np.zeros(groups.max() + 1, dtype=np.int64)
    np.maximum.at(rarest, groups, rarity)
    chosen = stratified(common_first[rarest], validation, test, seed)
    return Splits(*(np.flatnonzero(np.isin(groups, of_split)) for of_split in chosen))


def temporal(times: NDArray[np.generic], validation: float, test: float) -> Splits:
    """Split so that all training is earlier than all validation, and that than the test.

    Samples of one time stay together, so splits may be a little off their shares.
    """
    order = np.argsort(times, kind="stable")
    ascending = times[order]
    bounds = []
    for share in (1 - validation - test, 1 - test):
        at = round(len(times) * share)
        bounds.append(at if at == len(times) else int(np.searchsorted(ascending, ascending[at])))
    train, valid, held = np.split(order, bounds)
    return Splits(np.sort(train), np.sort(valid), np.sort(held))


def _cut(
    kind: type, among: Indices, by: Indices | None, share: float, seed: int
) -> tuple[Indices, Indices]:
    """Cut a share off some indices, by labels or groups where the kind of split needs them."""
    if share == 0:
        return among, among[:0]
    keys = None if by is None else by[among]
    groups = keys if kind is GroupShuffleSplit else None
    splitter = kind(n_splits=1, test_size=share, random_state=seed)
    try:
        kept, cut = next(splitter.split(among, keys, groups))
    except ValueError as error:
        raise DataError(
            f"{len(among)} samples cannot be split with a share of {share:.3g}: {error}"
        ) from error
    return np.sort(among[kept]), np.sort(among[cut])
