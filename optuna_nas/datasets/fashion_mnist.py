"""Fashion-MNIST: grey images of clothes.

Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from optuna_nas.datasets import files
from optuna_nas.datasets.arrays import ArrayDataModule
from optuna_nas.datasets.registry import register
from optuna_nas.exceptions import DataError

__all__ = ["FashionMNIST"]

ARRAYS = {"x": "(N, 28, 28) uint8", "y": "(N,) of classes 0 to 9"}
SOURCE = "github.com/zalandoresearch/fashion-mnist (MIT)"


@register("fashion_mnist")
class FashionMNIST(ArrayDataModule):
    """70,000 grey images of clothes, (1, 28, 28), in ten classes of equal size.

    Reads `fashion_mnist_train.npz` (60,000 images) and `fashion_mnist_test.npz` (10,000), each
    with arrays `x` (N, 28, 28) and `y` (N,). Training and validation are parts of the first; the
    second, as published, is the sealed test.

    Args:
        root: Folder of the files; by default that of the environment variable `OPTUNA_NAS_DATA`.
        size: How many images of the first file to use for training and validation, drawn by the
            seed, as many of each class; all by default.
        validation: Share of those for validation.
        seed: As for `ArrayDataModule`, and which images `size` draws.
        **options: As for `ArrayDataModule`, for example `batch_size`.

    Raises:
        DataError: A file is absent, with where to get it, or `size` is out of its range.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        size: int | None = None,
        validation: float = 1 / 6,
        seed: int = 0,
        **options: Any,
    ) -> None:
        train = files.arrays(root, "fashion_mnist_train.npz", ARRAYS, SOURCE)
        held = files.arrays(root, "fashion_mnist_test.npz", ARRAYS, SOURCE)
        chosen = _chosen(train["y"], size, seed)
        x = np.concatenate([train["x"][chosen], held["x"]])[:, None]
        y = np.concatenate([train["y"][chosen], held["y"]])
        test = np.arange(len(y)) >= len(chosen)
        super().__init__(x, y, validation=validation, test=test, seed=seed, **options)


def _chosen(y: NDArray[Any], size: int | None, seed: int) -> NDArray[np.int64]:
    """Indices of as many images of each class, sorted."""
    everything, classes = np.arange(len(y)), len(np.unique(y))
    if size is None or size == len(y):
        return everything
    if not classes <= size <= len(y) - classes:
        raise DataError(
            f"expected a size of {classes} to {len(y) - classes} images, or all {len(y)}, "
            f"got {size}"
        )
    kept, _ = train_test_split(everything, train_size=size, stratify=y, random_state=seed)
    return np.sort(kept)
