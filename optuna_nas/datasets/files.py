"""Files of real data sets, which the user has got and says where."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from optuna_nas.exceptions import DataError

__all__ = ["ENVIRONMENT", "arrays"]

ENVIRONMENT = "OPTUNA_NAS_DATA"
"""Environment variable that names the folder of data sets, where no argument does."""


def arrays(
    root: str | os.PathLike[str] | None, file: str, wanted: dict[str, str], source: str
) -> dict[str, NDArray[Any]]:
    """Read the arrays of an .npz file.

    Args:
        root: Folder of the file; None for that of the environment variable `OPTUNA_NAS_DATA`.
        file: Its name.
        wanted: Name of an array -> what it holds, for the error.
        source: Where to get the data.

    Raises:
        DataError: There is no such file, or it does not hold these arrays; the error says what it
            should hold, and where to get it.
    """
    folder = os.environ.get(ENVIRONMENT) if root is None else root
    held = ", ".join(f"{name!r} {text}" for name, text in wanted.items())
    expected = f"expected {file}, made by numpy.savez with {held}"
    give = f"give its folder as root=..., or by the variable {ENVIRONMENT}; data: {source}"
    if not folder:
        raise DataError(f"{expected}, got no folder to look in; {give}")
    path = Path(folder) / file
    try:
        with path.open("rb") as opened, np.load(opened) as stored:
            return {name: stored[name] for name in wanted}
    except FileNotFoundError:
        raise DataError(f"{expected}, got no such file in {folder}; {give}") from None
    except (BadZipFile, KeyError, OSError, TypeError, ValueError) as error:
        raise DataError(f"{expected}, got {path} with another content: {error}; {give}") from error
