"""A training that lets measurements on its host go first."""

from __future__ import annotations

import time
from functools import partial

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from optuna_nas.measuring.turns import Training

__all__ = ["GiveWay"]


class GiveWay(Callback):
    """Pauses a training between two batches while a worker on this host measures."""

    def __init__(self) -> None:
        self._waited = 0.0
        self._training: Training | None = None

    def clock(self) -> float:
        """Seconds that go by, but for pauses."""
        return time.monotonic() - self._waited

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin to train, in the process that does."""
        device = trainer.strategy.root_device
        on_gpu = device.type == "cuda"
        self._training = (
            Training(partial(torch.cuda.synchronize, device)) if on_gpu else Training()
        )
        self._training.__enter__()

    def teardown(self, *_: object, **__: object) -> None:
        """End the training."""
        if self._training is not None:
            self._training.__exit__()
            self._training = None

    def on_exception(self, *_: object) -> None:
        """End the training: Lightning does not tear down what raised."""
        self.teardown()

    def on_train_batch_start(self, *_: object) -> None:
        """Let a measurement go first."""
        if self._training is not None:
            began = time.monotonic()
            self._training.give_way()
            self._waited += time.monotonic() - began

    def on_validation_batch_start(self, *_: object) -> None:
        """Let a measurement go first."""
        self.on_train_batch_start()
