"""Arrays that a user gives, or an error that says what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optuna_nas.exceptions import DataError

__all__ = ["Array", "check_categories", "check_column", "check_inputs", "check_targets"]

Array = NDArray[Any]


def check_inputs(x: ArrayLike) -> Array:
    """Return inputs (N, ...), at least one number a sample, all finite.

    Raises:
        DataError: They are not.
    """
    array = np.asarray(x)
    if array.ndim < 2 or array.dtype.kind not in "fiub":
        raise DataError(
            "expected x of numbers of shape (N, F) or (N, C, H, W), "
            f"got {array.dtype} of shape {array.shape}"
        )
    if not np.isfinite(array).all():
        wrong = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(1))
        raise DataError(
            f"expected finite x, got NaN or infinity in {len(wrong)} samples, the first at "
            f"index {wrong[0]}; drop or fill them"
        )
    return array


def check_categories(x: Array, columns: Sequence[int]) -> dict[int, int]:
    """Return the number of categories in each of some columns of x (N, F), by column.

    Raises:
        DataError: There is no such column, or it holds anything but whole numbers from 0.
    """
    if len(columns) and (x.ndim != 2 or not set(columns) <= set(range(x.shape[1]))):
        raise DataError(
            f"expected categorical columns of x (N, F), from 0, got {tuple(columns)} for x of "
            f"shape {x.shape}"
        )
    for column in columns:
        values = x[:, column]
        if values.min() < 0 or (values != np.floor(values)).any():
            raise DataError(
                f"expected column {column} to hold numbers of categories, from 0, got "
                f"{np.unique(values)[:5]}; np.unique(column, return_inverse=True) numbers them"
            )
    return {column: int(x[:, column].max()) + 1 for column in sorted(columns)}


def check_targets(y: ArrayLike, size: int) -> tuple[tuple[Any, ...] | None, Array]:
    """Return the classes and their numbers (N,), or None and the values of a regression.

    Raises:
        DataError: Not one target for each of `size` inputs, or values that are not finite.
    """
    array = np.asarray(y)
    if len(array) != size:
        raise DataError(f"expected as many targets as inputs, got {len(array)} and {size}")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise DataError("expected finite y, got NaN or infinity; drop those samples")
        return None, array.astype(np.float32)
    classes, numbers = np.unique(check_column("y", array, size), return_inverse=True)
    return tuple(classes.tolist()), numbers.astype(np.int64)


def check_column(name: str, values: ArrayLike, size: int) -> Array:
    """Return one value for each of `size` inputs (N,), none of them NaN.

    Raises:
        DataError: Another shape, or a NaN.
    """
    array = np.asarray(values)
    if array.shape != (size,):
        raise DataError(f"expected {name} of shape ({size},), got {array.shape}")
    if array.dtype.kind in "fmM" and np.isnan(array).any():
        raise DataError(f"expected {name} without NaN; drop those samples")
    return array
