"""Whole batches by one indexing operation, in an order that (seed, epoch) decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler

__all__ = ["Batch", "EpochSampler", "TensorData", "loader"]

Batch = tuple[Tensor, Tensor]


class TensorData(Dataset[Batch]):
    """Inputs (N, ...) and targets (N,) or (N, K) in memory."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x = x
        self.y = y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Batch:
        return self.x[index], self.y[index]

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """A whole batch: far cheaper than one sample at a time."""
        chosen = torch.as_tensor(indices).to(self.x.device, non_blocking=True)
        return self.x[chosen], self.y[chosen]

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""
        return self.x.nbytes + self.y.nbytes

    def to(self, device: torch.device) -> TensorData:
        """The same data on a device."""
        return TensorData(self.x.to(device), self.y.to(device))


class EpochSampler(RandomSampler):
    """A permutation that depends on the seed and the epoch alone, so that training can resume.

    Lightning tells it the epoch.
    """

    def __init__(self, data: Sized, seed: int) -> None:
        super().__init__(data)
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the permutation of this epoch, counted from 0."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + 1_000_003 * self.epoch)
        return iter(torch.randperm(self.num_samples, generator=generator).tolist())


def loader(data: TensorData, batch_size: int, seed: int | None, **options: Any) -> DataLoader[Any]:
    """Load batches, shuffled where a seed is given.

    A last batch of a single sample, over which batch norm has no statistics, is left out of
    shuffled batches.
    """
    sampler = None if seed is None else EpochSampler(data, seed)
    lonely = len(data) > batch_size > 1 == len(data) % batch_size
    return DataLoader(
        data,
        batch_size,
        sampler=sampler,
        drop_last=sampler is not None and lonely,
        collate_fn=_identity,
        **options,
    )


def _identity(batch: Any) -> Any:
    return batch
