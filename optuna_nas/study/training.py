"""Training a candidate with Lightning, so that errors and interrupts arrive as what they are."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, LambdaCallback

from optuna_nas.pruners.callback import PruningCallback, refuse_relaunch

__all__ = ["TRAINER", "OnEpoch", "fit"]

OnEpoch = Callable[[int, int, Mapping[str, float]], None]
"""Told the number of a trial, the epochs it has trained, and the values it reported."""

TRAINER: Mapping[str, Any] = {
    "accelerator": "auto",
    "devices": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}
"""Arguments of every Trainer in a search, before the user's own."""


def fit(
    module: LightningModule,
    data: LightningDataModule,
    pruning: PruningCallback,
    epochs: int,
    seed: int,
    arguments: Mapping[str, Any],
    threads: int | None = None,
    on_epoch: Callable[[int, Mapping[str, float]], None] | None = None,
) -> dict[str, float]:
    """Train a module for at most some epochs, and return what it logged last.

    Args:
        module: The LightningModule to train.
        data: Its data.
        pruning: Reports each validation and ends the training of a trial that is not worth more.
        epochs: Epochs of a full training.
        seed: Seed of everything random in the training.
        arguments: Further arguments of the Trainer; they override `TRAINER`.
        threads: Threads that PyTorch may use; as many as it does by default.
        on_epoch: Called after each validation with the epochs trained and the values reported.

    Raises:
        optuna.TrialPruned: The pruner ended the trial.
        KeyboardInterrupt: The user did.
    """
    own = dict(arguments)
    callbacks: list[Callback] = [*own.pop("callbacks", ()), pruning]
    if on_epoch is not None:
        tell = on_epoch
        callbacks.append(
            LambdaCallback(on_train_epoch_end=lambda *_: tell(pruning.epochs, pruning.metrics))
        )
    with _calm(), _threads(threads):
        lightning.seed_everything(seed, verbose=False)
        trainer = Trainer(**{**TRAINER, "max_epochs": epochs, "callbacks": callbacks, **own})
        refuse_relaunch(trainer)
        with _interruptible():
            trainer.fit(module, datamodule=data)
    pruning.check_pruned()
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn the exit with which Lightning answers Ctrl-C back into the interrupt it was."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _calm() -> Iterator[None]:
    """Keep Lightning from repeating for every trial what it says of every run."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*is smaller than the logging interval.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
