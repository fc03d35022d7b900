"""Arrays of a file, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from optuna_nas.exceptions import DataError

__all__ = ["Arrays", "logarithm", "place", "read", "shaped", "whole"]

Arrays = Mapping[str, NDArray[Any]]


def read(path: Path) -> Arrays:
    """Read every array of a `.npz` file.

    Raises:
        DataError: It is none.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file}
    except (OSError, ValueError, BadZipFile, AttributeError, TypeError) as error:
        raise DataError(f"expected a table in a .npz file, got {path}: {error}") from error


def shaped(arrays: Arrays, dimensions: Mapping[str, str], path: Path) -> None:
    """Check that arrays are there and fit together.

    Args:
        arrays: The arrays.
        dimensions: Name -> a letter for each of its dimensions; equal letters, equal lengths.
        path: Their file, for the error.

    Raises:
        DataError: One is missing, or does not fit.
    """
    wrong = [
        f"{name} {arrays[name].shape if name in arrays else '(missing)'}"
        for name, letters in dimensions.items()
        if name not in arrays or arrays[name].ndim != len(letters)
    ]
    if wrong:
        raise DataError(
            f"expected arrays of these dimensions in {path}: {dict(dimensions)}; "
            f"got {', '.join(wrong)}"
        )
    lengths: dict[str, dict[str, int]] = {}
    for name, letters in dimensions.items():
        for letter, length in zip(letters, arrays[name].shape, strict=True):
            lengths.setdefault(letter, {})[name] = length
    for letter, by_name in lengths.items():
        if len(set(by_name.values())) > 1 or 0 in by_name.values():
            raise DataError(f"expected equal lengths {letter} of arrays in {path}, got {by_name}")


def whole(name: str, values: NDArray[Any]) -> NDArray[np.float64]:
    """Numbers (N, ...), none of them missing.

    Raises:
        DataError: A row has none, or not all of them.
    """
    try:
        numbers = values.astype(float)
    except ValueError:
        raise DataError(f"expected numbers in {name}, got {values.dtype}") from None
    missing = np.flatnonzero(~np.isfinite(numbers.reshape(len(numbers), -1)).all(axis=1))
    if len(missing):
        raise DataError(
            f"expected a finite number for every row in {name}, got none for "
            f"{len(missing)} rows, the first of them {missing[0]}"
        )
    return numbers


def logarithm(name: str, values: NDArray[Any]) -> NDArray[np.float64]:
    """Logarithm of positive numbers (N, ...).

    Raises:
        DataError: A row has none.
    """
    numbers = whole(name, values)
    bad = np.flatnonzero((numbers.reshape(len(numbers), -1) <= 0).any(axis=1))
    if len(bad):
        raise DataError(
            f"expected positive numbers in {name}, got others in {len(bad)} rows, "
            f"the first of them {bad[0]}"
        )
    found: NDArray[np.float64] = np.log(numbers)
    return found


def place(device: str, devices: NDArray[Any]) -> int:
    """Index of a device.

    Raises:
        DataError: There is none of that name.
    """
    names = [str(name) for name in devices]
    if device not in names:
        raise DataError(f"expected a device of the table, {names}, got {device!r}")
    return names.index(device)
