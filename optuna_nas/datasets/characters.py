"""Text, character by character, for language models."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from optuna_nas.datasets.batches import TensorData, loader
from optuna_nas.datasets.registry import register
from optuna_nas.exceptions import DataError

__all__ = ["Characters"]

VARIABLE = "OPTUNA_NAS_DATA"
NAMES = ("tinyshakespeare.txt", "tinyshakespeare.txt.gz")
SPLITS = ("train", "validation", "test")


@register("characters")
class Characters(LightningDataModule):
    """A text file as windows of characters, each with those that follow: (B, T) -> (B, T) ids.

    The text is cut into three pieces: its beginning is for training, what follows for validation,
    and the end is the test, sealed until `setup("test")`, which a search never calls. Windows do
    not overlap: an epoch reads every character once, in an order of windows that depends on the
    seed and the epoch. The alphabet is that of the whole text.

    Args:
        file: The text in UTF-8, plain or `.gz`; by default `tinyshakespeare.txt` or
            `tinyshakespeare.txt.gz` in the folder that the environment variable OPTUNA_NAS_DATA
            names.
        context: Characters T in a window.
        validation: Share of the text for validation.
        test: Share for the test; 0 for none.
        seed: Decides the order of training windows.
        batch_size: Windows in a training batch.
        **options: Options of the DataLoaders, such as `num_workers` or `pin_memory`.

    Raises:
        DataError: No such file, one that is no text, or shares that leave a piece without a
            window.

    Source: the text by default, Karpathy 2015, github.com/karpathy/char-rnn.
    """

    def __init__(
        self,
        file: str | Path | None = None,
        *,
        context: int = 64,
        validation: float = 0.1,
        test: float = 0.1,
        seed: int = 0,
        batch_size: int = 64,
        **options: Any,
    ) -> None:
        super().__init__()
        self.context = context
        self.seed = seed
        self.batch_size = batch_size
        self._options = options
        text = _read(_found(file))
        self.alphabet = "".join(sorted(set(text)))
        points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        self._ids = np.unique(points, return_inverse=True)[1].astype(np.int64)
        self._bounds = _cut(len(text), context, validation, test)
        self._ready: dict[str, TensorData] = {}

    @property
    def input_shape(self) -> tuple[int]:
        """Shape (T,) of one window."""
        return (self.context,)

    @property
    def outputs(self) -> int:
        """Number of different characters, which is also the vocabulary of the inputs."""
        return len(self.alphabet)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the text, its pieces and how they are served, in hexadecimal."""
        digest = hashlib.sha256(self._ids.data)
        served = [self.alphabet, self._bounds, self.context, self.seed, self.batch_size]
        digest.update(json.dumps(served).encode())
        return digest.hexdigest()

    def decode(self, ids: torch.Tensor) -> str:
        """The text of some ids (T,)."""
        return "".join(self.alphabet[number] for number in ids.tolist())

    def setup(self, stage: str | None = None) -> None:
        """Prepare training and validation for "fit" or "validate", the test for "test" only."""
        for name in SPLITS[2:] if stage == "test" else SPLITS[:2]:
            if name not in self._ready:
                self._ready[name] = self._windows(*self._bounds[SPLITS.index(name)])

    def teardown(self, stage: str | None = None) -> None:
        """Seal the test again once it has been run."""
        if stage == "test":
            self._ready.pop("test", None)

    def train_dataloader(self) -> DataLoader[Any]:
        """Windows in an order that depends on the seed and the epoch."""
        return loader(self._data("train"), self.batch_size, self.seed, **self._options)

    def val_dataloader(self) -> DataLoader[Any]:
        """Windows in the order of the text, more of them than in training."""
        return loader(self._data("validation"), 4 * self.batch_size, None, **self._options)

    def test_dataloader(self) -> DataLoader[Any]:
        """Windows of the test.

        Raises:
            DataError: The test is sealed: `setup("test")` has not been called.
        """
        return loader(self._data("test"), 4 * self.batch_size, None, **self._options)

    def _windows(self, start: int, end: int) -> TensorData:
        count = max(0, (end - start - 1) // self.context)
        piece = torch.from_numpy(self._ids[start : start + count * self.context + 1])
        shape = (count, self.context)
        return TensorData(piece[:-1].reshape(shape), piece[1:].reshape(shape))

    def _data(self, name: str) -> TensorData:
        if name not in self._ready:
            stage = "test" if name == "test" else "fit"
            raise DataError(f"the {name} split is sealed: call setup({stage!r}) first")
        return self._ready[name]


def _found(file: str | Path | None) -> Path:
    folder = os.environ.get(VARIABLE)
    places = [Path(folder, name) for name in NAMES] if folder else []
    if file is not None:
        places = [Path(file)]
    for place in places:
        if place.is_file():
            return place
    looked = f"no {' or '.join(map(str, places))}" if places else f"neither file nor {VARIABLE}"
    raise DataError(
        f"expected a text file, got {looked}; name one by Characters(file=...), or save "
        "tinyshakespeare (input.txt of data/tinyshakespeare in github.com/karpathy/char-rnn) as "
        f"{NAMES[0]} in a folder and let {VARIABLE} name that folder"
    )


def _read(file: Path) -> str:
    try:
        content = file.read_bytes()
        return (gzip.decompress(content) if file.suffix == ".gz" else content).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"expected {file} to be text in UTF-8, plain or .gz: {error}") from error


def _cut(
    length: int, context: int, validation: float, test: float
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Where training, validation and test begin and end."""
    if context < 1 or not (0 < validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise DataError(
            "expected 1 <= context, 0 < validation, 0 <= test and validation + test < 1, "
            f"got context={context}, validation={validation}, test={test}"
        )
    first, second = round(length * (1 - validation - test)), round(length * (1 - test))
    pieces = ((0, first), (first, second), (second, length))
    for name, (start, end) in zip(SPLITS, pieces, strict=True):
        if end - start <= context and (name != "test" or test > 0):
            raise DataError(
                f"expected more than context={context} characters for the {name} split, got "
                f"{end - start} of {length}; change the shares, or take a longer text"
            )
    return pieces
