"""Trainings that go wrong by the network's own doing: no memory, no finite loss, no end."""

from __future__ import annotations

import copy
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from optuna_nas.exceptions import TrainingError
from optuna_nas.study.storages.frames import in_storage

__all__ = ["Diverged", "FiniteLoss", "in_smaller_steps", "is_out_of_memory", "within"]

SOON = 0.05
"""Seconds until a trial is ended that was in the middle of its storage."""
EVERY = 20
"""Batches between two looks at the loss, which each wait for the device."""


class Diverged(TrainingError):
    """A training whose loss is NaN or infinite, and stays so."""


class FiniteLoss(Callback):
    """Ends a training that has diverged: whose loss was not finite at two looks in a row."""

    def __init__(self) -> None:
        self._odd = False

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Look at the loss now and then.

        Raises:
            Diverged: It is not finite, and was not before.
        """
        if batch_idx % EVERY and batch_idx + 1 != trainer.num_training_batches:
            return
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        odd = isinstance(loss, torch.Tensor) and not bool(torch.isfinite(loss).all())
        if odd and self._odd:
            raise Diverged(f"the loss is {loss} at step {trainer.global_step}: it has diverged")
        self._odd = odd


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device, or the host, has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    signs = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(sign in text for sign in signs)


def in_smaller_steps(
    data: LightningDataModule, arguments: Mapping[str, Any]
) -> tuple[LightningDataModule, dict[str, Any]] | None:
    """Data in batches of half the size, and Trainer arguments that add up two of them a step.

    Args:
        data: The data.
        arguments: Of the Trainer.

    Returns:
        None where the data does not say by `batch_size` how large its batches are, or they are
        odd: then it would be another training.
    """
    size = getattr(data, "batch_size", None)
    if not isinstance(size, int) or size % 2 or size < 2:
        return None
    halved = copy.copy(data)
    vars(halved)["batch_size"] = size // 2
    steps = arguments.get("accumulate_grad_batches", 1)
    return halved, {**arguments, "accumulate_grad_batches": 2 * steps}


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """End what takes too long, such as a data loader that hangs.

    In the main thread, where Python can be interrupted, and on systems that have such a clock;
    elsewhere nothing ends it.

    Raises:
        TrainingError: It took longer.
    """
    here = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
    if seconds is None or not here:
        yield
        return

    def ring(_: int, frame: FrameType | None) -> None:
        if in_storage(frame):
            signal.setitimer(signal.ITIMER_REAL, SOON)
            return
        raise TrainingError(f"expected the trial to take at most {seconds:g} s, but it went on")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
