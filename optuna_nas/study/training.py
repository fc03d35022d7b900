"""Training a candidate with Lightning, so that errors and interrupts arrive as what they are."""

from __future__ import annotations

import copy
import logging
import random
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import lightning
import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from lightning.pytorch.utilities.seed import isolate_rng
from torch import nn

from optuna_nas.exceptions import DescriptionError
from optuna_nas.pruners.callback import PruningCallback, refuse_relaunch
from optuna_nas.study.acceleration import ChannelsLast, near, precision
from optuna_nas.study.budget import Budget
from optuna_nas.study.checkpoints import Checkpoints, Resumed
from optuna_nas.study.fidelity import Fidelity
from optuna_nas.study.give_way import GiveWay
from optuna_nas.study.mishaps import FiniteLoss

__all__ = [
    "TRAINER",
    "OnEpoch",
    "calm",
    "check_trainer",
    "fit",
    "interruptible",
    "seeded",
    "seeded_setup",
    "using_threads",
    "validate",
]

OnEpoch = Callable[[int | None, int, Mapping[str, float]], None]
"""Told the number of a trial, the epochs it has trained, and the values it reported.

The number is None where what is trained is a supernet, for all trials."""

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


def check_trainer(arguments: Mapping[str, Any]) -> None:
    """See whether Lightning takes such arguments here, before anything is trained.

    Args:
        arguments: The user's for the Trainer.

    Raises:
        DescriptionError: It does not: an unknown one, or a device that is not there.
    """
    own, callbacks = _parted(arguments)
    try:
        with calm():
            Trainer(**{**TRAINER, "callbacks": callbacks, **own})
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise DescriptionError(
            f"expected trainer={{...}} of what a Lightning Trainer takes here, got "
            f"{dict(arguments)!r}: {error}"
        ) from error


def fit(
    make_module: Callable[[nn.Module], LightningModule],
    network: nn.Module,
    input_shape: tuple[int, ...],
    data: LightningDataModule,
    pruning: PruningCallback,
    budget: Budget,
    seed: int,
    data_seed: int,
    arguments: Mapping[str, Any],
    threads: int | None = None,
    checkpoints: Checkpoints | None = None,
    beside: Sequence[Callback] = (),
    logger: Logger | None = None,
) -> dict[str, float]:
    """Train a network for at most its budget, and return what was logged last.

    Args:
        make_module: Makes the LightningModule to train from the network.
        network: The network.
        input_shape: Shape of one sample that it takes.
        data: Its data.
        pruning: Reports each validation and ends the training of a trial that is not worth more.
        budget: How long a full training is, and at which fidelity.
        seed: Seed of everything random in the training.
        data_seed: Seed under which the data is set up: splits are the same for every trial.
        arguments: Further arguments of the Trainer; they override `TRAINER`.
        threads: Threads that PyTorch may use; as many as it does by default.
        checkpoints: Saves the training, and says what it goes on from; None for neither.
        beside: Further callbacks, of this training alone.
        logger: Its logger, where it has one of its own.

    Raises:
        optuna.TrialPruned: The pruner ended the trial.
        KeyboardInterrupt: The user did.
    """
    own, callbacks = _parted(arguments)
    with calm(), using_threads(threads), seeded_setup(data, data_seed):
        lightning.seed_everything(seed, verbose=False)
        module = make_module(network)
        give_way = GiveWay()
        fidelity = Fidelity(budget, data_seed, give_way.clock)
        own |= fidelity.trainer_arguments
        own |= {} if logger is None else {"logger": logger}
        callbacks = [
            give_way,
            ChannelsLast(),
            FiniteLoss(),
            *callbacks,
            *beside,
            fidelity,
            pruning,
        ]
        resumed = Resumed() if checkpoints is None else checkpoints.resumed
        if checkpoints is not None:
            callbacks.append(checkpoints)
            own["enable_checkpointing"] = True  # without it Lightning refuses any that saves
        trainer = Trainer(
            **{**TRAINER, "max_epochs": budget.max_epochs, "callbacks": callbacks, **own}
        )
        refuse_relaunch(trainer)
        fidelity.check(trainer)
        # A process of several has a device of its own, which only it knows.
        device = torch.device("cpu") if trainer.world_size > 1 else trainer.strategy.root_device
        with (
            interruptible(),
            _served(data, device, fidelity, checkpoints),
            fidelity.resizing(network, input_shape),
        ):
            trainer.fit(module, datamodule=data, ckpt_path=resumed.path, weights_only=True)
            if fidelity.below and not pruning.pruned:  # it stopped by itself, on the way up
                fidelity.in_full()
                trainer.validate(module, datamodule=data, verbose=False)
    pruning.check_pruned()
    logged = trainer.callback_metrics or resumed.metrics  # it may have been at its end
    return {name: float(value) for name, value in logged.items()}


def validate(
    make_module: Callable[[nn.Module], LightningModule],
    network: nn.Module,
    data: LightningDataModule,
    seed: int,
    arguments: Mapping[str, Any],
    threads: int | None = None,
    beside: Sequence[Callback] = (),
) -> dict[str, float]:
    """Run a network on the validation data, set up as for training, and return what is logged.

    Args:
        make_module: Makes the LightningModule that validates it.
        network: The network, trained.
        data: Its data.
        seed: Seed under which the data is set up.
        arguments: As in `fit`.
        threads: As in `fit`.
        beside: As in `fit`.

    Raises:
        KeyboardInterrupt: The user did.
    """
    own, callbacks = _parted(arguments)
    with calm(), using_threads(threads), seeded_setup(data, seed), _as_for_fit(data):
        lightning.seed_everything(seed, verbose=False)
        module = make_module(network)
        callbacks = [GiveWay(), ChannelsLast(), *callbacks, *beside]
        trainer = Trainer(**{**TRAINER, "callbacks": callbacks, **own})
        refuse_relaunch(trainer)
        with interruptible():
            trainer.validate(module, datamodule=data, verbose=False)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def seeded(function: Callable[..., Any], seed: int, *args: Any, **kwargs: Any) -> Any:
    """Call a function with the random numbers of torch, numpy and Python from a seed.

    The state of all three is left as it was.
    """
    with isolate_rng(include_cuda=False):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        return function(*args, **kwargs)


@contextmanager
def seeded_setup(data: LightningDataModule, seed: int) -> Iterator[None]:
    """Set data up under one seed: a random split must not differ between trials."""
    vars(data)["setup"] = partial(seeded, data.setup, seed)
    try:
        yield
    finally:
        del vars(data)["setup"]


def _parted(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[Callback]]:
    """The user's arguments of a Trainer with the precision, and the callbacks among them."""
    own = copy.deepcopy(dict(arguments))  # callbacks have a state, which is this trial's
    callbacks = own.pop("callbacks", None) or []
    if (number := precision(arguments)) != "32-true":
        own["precision"] = number
    return own, [callbacks] if isinstance(callbacks, Callback) else list(callbacks)


@contextmanager
def _as_for_fit(data: LightningDataModule) -> Iterator[None]:
    """Set data up for a fit, whatever the stage: validation data is then that of trainings."""
    setup, teardown = data.setup, data.teardown
    vars(data)["setup"] = lambda stage=None: setup("fit")
    vars(data)["teardown"] = lambda stage=None: teardown("fit")
    try:
        yield
    finally:
        vars(data)["setup"] = setup
        del vars(data)["teardown"]


@contextmanager
def _served(
    data: LightningDataModule,
    device: torch.device,
    fidelity: Fidelity,
    checkpoints: Checkpoints | None,
) -> Iterator[None]:
    """Serve batches near the device, those of training as the budget says.

    Checkpoints see the training loaders.
    """
    train = partial(near, data.train_dataloader, device)
    served = {
        "train_dataloader": partial(_serve, train, fidelity, checkpoints),
        "val_dataloader": partial(near, data.val_dataloader, device),
    }
    vars(data).update(served)
    try:
        yield
    finally:
        for name in served:
            del vars(data)[name]


def _serve(make: Callable[[], Any], fidelity: Fidelity, checkpoints: Checkpoints | None) -> Any:
    loaders = fidelity.serve(make)
    return loaders if checkpoints is None else checkpoints.served(loaders)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the exit with which Lightning answers Ctrl-C or SIGTERM into an interrupt again."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        signalled = isinstance(error, SIGTERMException)
        if signalled or isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)


@contextmanager
def using_threads(count: int | None) -> Iterator[None]:
    """Let PyTorch use a number of threads; as many as it does where none is given."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def calm() -> Iterator[None]:
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
