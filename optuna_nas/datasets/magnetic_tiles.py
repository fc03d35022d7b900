"""Photographs of magnetic tiles with and without defects.

Source: Huang, Qiu and Yuan 2020, The Visual Computer 36, doi:10.1007/s00371-018-1588-5.
Local contrast: Jarrett et al. 2009, doi:10.1109/ICCV.2009.5459469.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

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
        local_contrast: Pixels around each (odd) whose mean it is compared with, and by whose
            deviation it is divided, which takes the light away; None for pictures as they are.
        **options: As for `ArrayDataModule`, for example `seed` or `batch_size`.

    Raises:
        DataError: The file is absent, with where to get it; or `local_contrast` is even.

    Attributes:
        DEFECTS: The classes that are defects: Blowhole, Break, Crack, Fray, Uneven.
    """

    DEFECTS: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 5)

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        local_contrast: int | None = None,
        **options: Any,
    ) -> None:
        stored = files.arrays(root, "magtile_64x64.npz", ARRAYS, SOURCE)
        groups = _tiles(stored["name"])
        options = {"groups": groups, "stratify": True, **options}
        x = stored["x"][:, None]
        if local_contrast is not None:
            x = _contrast(x, local_contrast)
        super().__init__(x, stored["y"], **options)


def _contrast(x: NDArray[np.uint8], around: int) -> NDArray[np.float32]:
    """Local contrast of pictures (N, 1, H, W), 0 to 255."""
    if around < 3 or around % 2 == 0:
        raise DataError(f"expected local_contrast of an odd number from 3, got {around}")
    size = (0, 0, around, around)
    apart = x.astype(np.float32) - uniform_filter(x.astype(np.float32), size)
    local: NDArray[np.float32] = apart / (np.sqrt(uniform_filter(apart**2, size)) + 1.0)
    return local


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
