"""Training data in two halves: one that weights learn from, one that the architecture does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader, IterableDataset, Subset

from optuna_nas.datasets.batches import EpochSampler
from optuna_nas.exceptions import DataError
from optuna_nas.study.loaders import again

__all__ = ["ARCHITECTURE", "WEIGHTS", "Halves"]

WEIGHTS, ARCHITECTURE = "weights", "architecture"


class Halves:
    """Serves pairs of batches, one of each half of the training data, in an order of the epoch.

    What the data module validates and tests on is not touched.

    Args:
        seed: Decides the halves and the order of samples.

    Attributes:
        probe: A batch of the architecture's half, the same in every epoch.
        ordered: Serves whole batches of that half, always the same; `probe` is the first.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.probe: Any = None
        self.ordered: Iterable[Any] = ()

    @contextmanager
    def of(self, data: LightningDataModule) -> Iterator[None]:
        """Let a data module serve them.

        Raises:
            DataError: It serves other than one DataLoader that draws samples by their index, or
                fewer samples than two batches.
        """
        vars(data)["train_dataloader"] = partial(self._serve, data.train_dataloader)
        try:
            yield
        finally:
            del vars(data)["train_dataloader"]

    def _serve(self, make: Callable[[], Any]) -> CombinedLoader:
        loader = make()
        size = _size(loader)
        generator = torch.Generator().manual_seed(self._seed)
        order = torch.randperm(size, generator=generator).tolist()
        halves = {WEIGHTS: order[: size // 2], ARCHITECTURE: order[size // 2 : size // 2 * 2]}
        parts = {name: Subset(loader.dataset, chosen) for name, chosen in halves.items()}
        served = {name: self._loader(loader, part) for name, part in parts.items()}
        whole = {"dataset": parts[ARCHITECTURE], "sampler": None, "drop_last": True}
        self.ordered = again(loader, **whole)
        self.probe = next(iter(self.ordered))
        return CombinedLoader(served, "min_size")

    def _loader(self, loader: DataLoader[Any], part: Subset[Any]) -> DataLoader[Any]:
        sampler = EpochSampler(part, self._seed)
        return again(loader, dataset=part, sampler=sampler, drop_last=True)


def _size(loader: Any) -> int:
    plain = isinstance(loader, DataLoader) and not isinstance(loader.dataset, IterableDataset)
    if not plain or loader.batch_size is None:
        raise DataError(
            "expected train_dataloader() to return one DataLoader with a batch_size over a "
            "dataset with a length, to be cut into halves, got "
            f"{type(loader).__name__}"
        )
    size = len(loader.dataset)
    if size // 2 < loader.batch_size:
        raise DataError(
            f"expected training samples for two batches of {loader.batch_size}, got {size}; use a "
            "smaller batch_size"
        )
    return size
