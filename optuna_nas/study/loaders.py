"""Training loaders of a share of the data, or of a number of batches instead of an epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sized
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, Sampler

from optuna_nas.exceptions import DataError
from optuna_nas.study.random_state import RandomState

__all__ = ["Rounds", "TimedRounds", "again", "part_of"]

_ARGUMENTS = (
    "dataset",
    "batch_size",
    "sampler",
    "drop_last",
    "collate_fn",
    "num_workers",
    "pin_memory",
    "timeout",
    "worker_init_fn",
    "multiprocessing_context",
    "generator",
    "prefetch_factor",
)


def part_of(loader: Any, share: float, seed: int) -> Any:
    """A loader of a share of the data; a smaller share is a part of every greater one.

    Args:
        loader: What a data module returned.
        share: More than 0; the loader itself for 1.
        seed: Decides which samples.

    Raises:
        DataError: It is no DataLoader that draws samples by their index, or there are too few.
    """
    if share >= 1:
        return loader
    plain = isinstance(loader, DataLoader) and not isinstance(loader.dataset, IterableDataset)
    if not plain or loader.batch_size is None:
        raise DataError(
            "expected train_dataloader() to return one DataLoader with a batch_size over a "
            f"dataset with a length, beside Budget(data=...), got {_told(loader)}"
        )
    part = _Part(loader.sampler, len(loader.dataset), share, loader.batch_size, seed)
    if loader.drop_last and len(part) < loader.batch_size:
        raise DataError(
            f"expected a batch of {loader.batch_size} samples in the smallest share of the data, "
            f"got {len(part)}; begin with a greater one: Budget(data=(first, 1.0))"
        )
    return again(loader, sampler=part)


def again(loader: DataLoader[Any], **changes: Any) -> DataLoader[Any]:
    """The same loader but for some of its arguments; it must have a batch size.

    Args:
        loader: A DataLoader that draws samples by their index.
        **changes: Arguments of a DataLoader that differ.
    """
    return DataLoader(**{name: getattr(loader, name) for name in _ARGUMENTS} | changes)


class _Part(Sampler[int]):
    """Those indices of another sampler that are in a fixed part of the data."""

    def __init__(
        self, sampler: Any, samples: int, share: float, batch_size: int, seed: int
    ) -> None:
        self._sampler = sampler
        order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed))
        count = math.ceil(round(share * len(sampler), 6))
        # Batch norm has no statistics over a last batch of one sample.
        lonely = count % batch_size == 1 < batch_size
        self._count = min(count + lonely, len(sampler))
        self._kept = set(order[: math.ceil(self._count * samples / len(sampler))].tolist())

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        left = self._count
        while left:  # a sampler with replacement may bring too few
            before = left
            for index in self._sampler:
                if left and index in self._kept:
                    left -= 1
                    yield index
            if left == before:
                raise DataError("expected samples of the smallest share of the data, got none")

    def set_epoch(self, epoch: int) -> None:
        if hasattr(self._sampler, "set_epoch"):
            self._sampler.set_epoch(epoch)

    @property
    def generator(self) -> torch.Generator | None:
        found: torch.Generator | None = getattr(self._sampler, "generator", None)
        return found


class _Endless:
    """The batches of a loader, epoch after epoch, which can be gone on with at any place.

    Args:
        loader: The training loader.

    Raises:
        DataError: The loader is no iterable of batches.
    """

    def __init__(self, loader: Any) -> None:
        if not hasattr(loader, "__iter__") or isinstance(loader, list | tuple | dict):
            raise DataError(
                "expected train_dataloader() to return one loader, beside a budget in steps or "
                f"seconds, got {_told(loader)}"
            )
        self.loader = loader
        self.generator = getattr(loader, "generator", None)
        self.sampler = getattr(loader, "sampler", None)
        self._random = RandomState()
        self._batches: Iterator[Any] | None = None
        self._epoch, self._place = -1, 0
        self._begun: dict[str, Any] = {}

    def next(self) -> Any:
        """The next batch.

        Raises:
            DataError: There are none.
        """
        batch = next(self._batches, _END) if self._batches is not None else _END
        if batch is _END:
            self._epoch, self._place = self._epoch + 1, 0
            batch = next(self._begin(), _END)
        if batch is _END:
            raise DataError("expected training batches, got an empty loader")
        self._place += 1
        return batch

    def state(self) -> dict[str, Any]:
        """Where it is."""
        return {"epoch": self._epoch, "place": self._place, "random": self._begun}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there: the epoch's order is drawn again, and what has been is skipped."""
        self._epoch, self._place = state["epoch"], state["place"]
        self._random.watch(self.loader, self._epoch)
        now = self._random.state()
        self._random.restore(state["random"])
        batches = self._begin()
        for _ in range(self._place):
            next(batches)
        self._random.restore(now)

    def _begin(self) -> Iterator[Any]:
        self._random.watch(self.loader, self._epoch)
        self._begun = self._random.state()
        self._batches = iter(self.loader)
        return self._batches


class Rounds(_Endless):
    """A number of batches in the place of an epoch.

    Args:
        loader: The training loader.
        batches: How many.
    """

    def __init__(self, loader: Any, batches: int) -> None:
        super().__init__(loader)
        self._count = batches

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return (self.next() for _ in range(self._count))


class TimedRounds(_Endless):
    """As many batches as some seconds allow, in the place of an epoch; at least one.

    Args:
        loader: The training loader.
        seconds: How long.
        clock: Seconds, of which only those of training count.
    """

    def __init__(
        self, loader: Any, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(loader)
        self._seconds = seconds
        self._clock = clock

    def __iter__(self) -> Iterator[Any]:
        batch, end = self.next(), self._clock() + self._seconds
        yield batch
        while self._clock() < end:
            yield self.next()


_END = object()


def _told(loader: Any) -> str:
    size = f" of {len(loader)}" if isinstance(loader, Sized) else ""
    return f"{type(loader).__name__}{size}"
