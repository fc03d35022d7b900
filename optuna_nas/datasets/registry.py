"""The registry of ready-made datasets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lightning.pytorch import LightningDataModule

from optuna_nas.exceptions import DataError

__all__ = ["DATASETS", "register"]

DATASETS: dict[str, type[LightningDataModule]] = {}
"""Name -> class of a ready-made dataset."""

_D = TypeVar("_D", bound=type[LightningDataModule])


def register(name: str) -> Callable[[_D], _D]:
    """Make a class of datasets known under a name.

    Raises:
        DataError: The name belongs to another class.
    """

    def add(dataset: _D) -> _D:
        known = DATASETS.setdefault(name, dataset)
        if (known.__module__, known.__qualname__) != (dataset.__module__, dataset.__qualname__):
            raise DataError(
                f"expected an unused name of a dataset, got {name!r}, which is "
                f"{known.__qualname__} of {known.__module__}; choose another name"
            )
        DATASETS[name] = dataset
        return dataset

    return add
