"""Files of data sets: an argument or the environment says where; what is wrong is said in full."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optuna_nas.datasets import files
from optuna_nas.exceptions import DataError

WANTED = {"x": "(N, 2) uint8", "y": "(N,) of classes"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.savez(tmp_path / "set.npz", x=np.eye(2), y=np.arange(2), more=np.zeros(3))
    return tmp_path


def read(root: Path | None, file: str = "set.npz") -> dict[str, np.ndarray]:
    return files.arrays(root, file, WANTED, "the source")


def test_an_argument_comes_before_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(files.ENVIRONMENT, str(folder / "elsewhere"))
    assert set(read(folder)) == {"x", "y"}
    monkeypatch.setenv(files.ENVIRONMENT, str(folder))
    assert read(None)["y"].tolist() == [0, 1]


def test_what_is_absent_says_what_it_holds_and_where_to_get_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = r"expected .*\.npz, made by .*'x' \(N, 2\) uint8, 'y' .* got {}.*root=.*the source"
    monkeypatch.delenv(files.ENVIRONMENT, raising=False)
    with pytest.raises(DataError, match=told.format("no folder")):
        read(None)
    with pytest.raises(DataError, match=told.format("no such file")):
        read(folder, "other.npz")


def test_another_content_is_refused(folder: Path) -> None:
    np.savez(folder / "half.npz", x=np.eye(2))
    np.save(folder / "one.npz", np.eye(2))  # numpy adds .npy
    (folder / "one.npz").write_bytes((folder / "one.npz.npy").read_bytes())
    (folder / "text.npz").write_text("no arrays")
    np.savez(folder / "objects.npz", x=np.array([{}]), y=np.eye(2))
    (folder / "cut.npz").write_bytes((folder / "set.npz").read_bytes()[:100])
    for name in ("half", "one", "text", "objects", "cut"):
        with pytest.raises(DataError, match=f"{name}.npz with another content"):
            read(folder, f"{name}.npz")
