"""Text as windows of characters: contiguous pieces, a sealed test, errors that help."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from optuna_nas.datasets import DATASETS, Characters
from optuna_nas.exceptions import DataError

TEXT = "".join(chr(97 + (i * i + i // 7) % 23) for i in range(1000)) + "é\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8", newline="")
    return path


def windows(loader: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(a, b) for x, y in loader for a, b in zip(x, y, strict=True)]


def test_says_what_a_network_needs_to_know(file: Path) -> None:
    data = DATASETS["characters"](file, context=8)
    assert (data.input_shape, data.outputs) == ((8,), len(set(TEXT)))


def test_each_window_is_followed_by_what_comes_after_each_character(file: Path) -> None:
    data = Characters(file, context=8, batch_size=7)
    data.setup("fit")
    for x, y in windows(data.train_dataloader()):
        assert (x.shape, x.dtype, y.dtype) == ((8,), torch.int64, torch.int64)
        assert torch.equal(x[1:], y[:-1])
        assert data.decode(torch.cat((x, y[-1:]))) in TEXT


def test_the_pieces_are_contiguous_and_in_order(file: Path) -> None:
    data = Characters(file, context=10, validation=0.2, test=0.1)
    data.setup("fit")
    data.setup("test")
    validation, test = (
        "".join(data.decode(x) for x, _ in windows(loader))
        for loader in (data.val_dataloader(), data.test_dataloader())
    )
    train = {data.decode(x) for x, _ in windows(data.train_dataloader())}
    first, second = round(0.7 * len(TEXT)), round(0.9 * len(TEXT))
    assert train == {TEXT[i : i + 10] for i in range(0, first - 10, 10)}
    assert (first, second, len(TEXT)) == (701, 902, 1002)
    assert validation == TEXT[701:901]  # every character but the last has a successor
    assert test == TEXT[902:992]


def test_an_epoch_reads_every_window_once_in_an_order_of_its_own(file: Path) -> None:
    def order(seed: int, epoch: int) -> list[str]:
        data = Characters(file, context=8, seed=seed)
        data.setup("fit")
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        return [data.decode(x) for x, _ in windows(loader)]

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1) != order(1, 1)
    assert sorted(order(0, 0)) == sorted(order(1, 5))


def test_the_test_is_sealed_until_it_is_run(file: Path) -> None:
    data = Characters(file, context=8)
    with pytest.raises(DataError, match=r"train split is sealed: call setup\('fit'\) first"):
        data.train_dataloader()
    data.setup("fit")
    with pytest.raises(DataError, match=r"test split is sealed: call setup\('test'\) first"):
        data.test_dataloader()
    data.setup("test")
    assert len(data.test_dataloader().dataset) > 0
    data.teardown("test")
    with pytest.raises(DataError, match="sealed"):
        data.test_dataloader()


def test_compressed_text_is_the_same(file: Path, tmp_path: Path) -> None:
    packed = tmp_path / "text.txt.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert Characters(packed, context=8).fingerprint == Characters(file, context=8).fingerprint


class TestFingerprint:
    @pytest.mark.parametrize(
        "change",
        [
            {"context": 9},
            {"seed": 1},
            {"batch_size": 32},
            {"validation": 0.2},
            {"test": 0.0},
        ],
        ids=str,
    )
    def test_changes_with_what_a_training_depends_on(
        self, file: Path, change: dict[str, Any]
    ) -> None:
        before = Characters(file, context=8).fingerprint
        assert Characters(file, **{"context": 8, **change}).fingerprint != before

    def test_changes_with_the_text(self, file: Path) -> None:
        before = Characters(file, context=8).fingerprint
        file.write_text(TEXT.replace("a", "A"), encoding="utf-8", newline="")
        assert Characters(file, context=8).fingerprint != before

    def test_survives_pickling(self, file: Path) -> None:
        data = Characters(file, context=8)
        assert pickle.loads(pickle.dumps(data)).fingerprint == data.fingerprint


def test_the_folder_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTUNA_NAS_DATA", str(tmp_path))
    (tmp_path / "tinyshakespeare.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    assert Characters(context=8).outputs == len(set(TEXT))


class TestRefuses:
    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"no .*gone.txt; name one by Characters\(file=") as e:
            Characters(tmp_path / "gone.txt")
        assert "github.com/karpathy/char-rnn" in str(e.value)

    def test_nothing_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OPTUNA_NAS_DATA", raising=False)
        with pytest.raises(DataError, match="neither file nor OPTUNA_NAS_DATA"):
            Characters()
        monkeypatch.setenv("OPTUNA_NAS_DATA", str(tmp_path))
        with pytest.raises(DataError, match=r"no .*tinyshakespeare.txt or .*txt\.gz"):
            Characters()

    @pytest.mark.parametrize("name", ["text.txt", "text.txt.gz"])
    def test_what_is_no_text(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        path.write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DataError, match="to be text in UTF-8"):
            Characters(path)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"validation": 0.0}, "got context=8, validation=0.0, test=0.1"),
            ({"validation": 0.5, "test": 0.5}, r"validation \+ test < 1"),
            ({"context": 0}, "got context=0"),
            ({"context": 200}, "more than context=200 characters for the validation split"),
            ({"test": 0.005}, "more than context=8 characters for the test split"),
        ],
    )
    def test_pieces_without_a_window(
        self, file: Path, arguments: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(DataError, match=message):
            Characters(file, **{"context": 8, **arguments})
