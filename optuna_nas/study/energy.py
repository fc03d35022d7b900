"""What a training takes in energy, where its device has a counter."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from optuna_nas.exceptions import MeasurementError
from optuna_nas.measuring.counters import Counter, counter_of

__all__ = ["EnergyCount"]

EVERY_SECONDS = 1.0
"""Between two readings: counters of processors begin again at zero within minutes or hours."""


class EnergyCount(Callback):
    """Reads the counter of the device that trains: everything that this takes meanwhile."""

    def __init__(self) -> None:
        self._counter: Counter | None = None
        self._read = 0.0

    @property
    def joules(self) -> float | None:
        """Energy since the training began, J; None where nothing counts it."""
        return None if self._counter is None else round(self._counter.joules(), 1)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the counter."""
        try:
            self._counter = counter_of(str(trainer.strategy.root_device))
        except MeasurementError:  # most machines have none: nothing is counted then
            self._counter = None

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Read it now and then."""
        if self._counter is not None and time.monotonic() - self._read > EVERY_SECONDS:
            self._counter.joules()
            self._read = time.monotonic()
