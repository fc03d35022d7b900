"""Photographs of magnetic tiles with and without defects.

Source: Huang, Qiu and Yuan 2020, The Visual Computer 36, doi:10.1007/s00371-018-1588-5.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from optuna_nas.datasets import files
from optuna_nas.datasets.arrays import ArrayDataModule
from optuna_nas.datasets.registry import register
from optuna_nas.exceptions import DataError

__all__ = ["MagneticTiles"]

ARRAYS = {
    "x": "(N, 64, 64) uint8, grey",
    "y": "(N,) of classes 0 to 5: Free, Blowhole, Break, Crack, Fray, Uneven",
    "name": "(N,) as published, such as 'exp1_num_108719'",
}
SOURCE = "repository 'Magnetic-tile-defect-datasets.' of abin24 on GitHub, scaled to 64x64"
APART = 200
"""Numbers of the camera between the last picture of a tile and the first of another."""


@register("magnetic_tiles")
class MagneticTiles(ArrayDataModule):
    """1,344 grey photographs of magnetic tiles, (1, 64, 64): 952 without defect, 392 of five.

    Reads `magtile_64x64.npz` with arrays `x`, `y` and `name`. A tile was photographed about six
    times in a row, `exp1` to `exp6`, and the pictures look alike: they are in one split. The `num`
    of a name counts the pictures of the camera and is different for each, so pictures are taken
    for one tile (or two, photographed together) where fewer than 200 numbers lie between them;
    that makes 202 groups. Splits have the classes in the proportions of the groups.

    Args:
        root: Folder of the file; by default that of the environment variable `OPTUNA_NAS_DATA`.
        **options: As for `ArrayDataModule`, for example `seed` or `batch_size`.

    Raises:
        DataError: The file is absent, with where to get it.

    Attributes:
        DEFECTS: The classes that are defects: Blowhole, Break, Crack, Fray, Uneven.
    """

    DEFECTS: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 5)

    def __init__(self, root: str | os.PathLike[str] | None = None, **options: Any) -> None:
        stored = files.arrays(root, "magtile_64x64.npz", ARRAYS, SOURCE)
        groups = _tiles(stored["name"])
        options = {"groups": groups, "stratify": True, **options}
        super().__init__(stored["x"][:, None], stored["y"], **options)


def _tiles(names: NDArray[np.str_]) -> NDArray[np.int64]:
    """Group of each picture (N,): neighbours in the order in which they were taken."""
    try:
        taken = np.array([int(str(name).rpartition("_num_")[2]) for name in names])
    except ValueError as error:
        raise DataError(
            f"expected names such as 'exp1_num_108719' in magtile_64x64.npz: {error}"
        ) from error
    order = np.argsort(taken)
    groups = np.empty(len(taken), dtype=np.int64)
    groups[order] = np.cumsum(np.diff(taken[order], prepend=taken[order][0]) > APART)
    return groups
