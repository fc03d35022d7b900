"""Magnetic tiles: pictures of one tile are in one split, every defect is in each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from optuna_nas.datasets import DATASETS, MagneticTiles
from optuna_nas.exceptions import DataError


def save(folder: Path, names: list[str]) -> Path:
    size = len(names)
    x = np.random.default_rng(0).integers(0, 256, (size, 64, 64), dtype=np.uint8)
    np.savez(folder / "magtile_64x64.npz", x=x, y=np.arange(size) // 60 % 6, name=names)
    return folder


def pictures(tiles: int = 120) -> list[str]:
    """Six pictures of each tile, 20 numbers apart; tiles 1,000 apart."""
    return [f"exp{k}_num_{1000 * tile + 20 * k}" for tile in range(tiles) for k in range(1, 7)]


def test_pictures_of_one_tile_are_in_one_split(tmp_path: Path) -> None:
    data = DATASETS["magnetic_tiles"](save(tmp_path, pictures()))
    assert (data.input_shape, data.outputs) == ((1, 64, 64), 6)
    tiles = np.arange(720) // 6
    train, validation, test = (set(tiles[split]) for split in data._splits)
    assert (len(train), len(validation), len(test)) == (72, 24, 24)
    assert len(train | validation | test) == 120


def test_the_order_of_the_pictures_does_not_matter(tmp_path: Path) -> None:
    names = pictures(40)[::-1]
    data = MagneticTiles(save(tmp_path, names), stratify=False)
    tiles = np.arange(240) // 6
    assert sum(len(set(tiles[split])) for split in data._splits) == 40


def test_local_contrast_does_not_see_the_light(tmp_path: Path) -> None:
    save(tmp_path, pictures())
    stored = dict(np.load(tmp_path / "magtile_64x64.npz"))
    dark = stored["x"] // 4
    np.savez(tmp_path / "magtile_64x64.npz", **stored | {"x": dark})
    darker = MagneticTiles(tmp_path, local_contrast=13)
    np.savez(tmp_path / "magtile_64x64.npz", **stored | {"x": dark + 150})
    lighter = MagneticTiles(tmp_path, local_contrast=13)
    np.testing.assert_allclose(darker._x, lighter._x, atol=1e-4)
    np.testing.assert_allclose(darker._x.mean(), 0, atol=0.05)
    with pytest.raises(DataError, match="odd number from 3, got 4"):
        MagneticTiles(tmp_path, local_contrast=4)


def test_names_in_another_form_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected names such as 'exp1_num_108719'"):
        MagneticTiles(save(tmp_path, ["tile.png"] * 60))


@pytest.mark.parametrize("seed", range(5))
def test_the_published_file_has_every_defect_in_each_split(
    data_file: Callable[[str], Path], seed: int
) -> None:
    data = MagneticTiles(data_file("magtile_64x64.npz").parent, seed=seed)
    assert sum(map(len, data._splits)) == 1344
    for split in data._splits:
        counts = np.bincount(data._y[split], minlength=data.outputs)
        assert counts[list(data.DEFECTS)].min() > 0
        assert 0.6 < counts[0] / len(split) < 0.8
