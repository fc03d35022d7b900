"""What the benchmark of a supernet trains: supernets and networks alone, by one recipe."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import optuna
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from torch import nn

from optuna_nas.architecture import Architecture
from optuna_nas.datasets import ArrayDataModule, Digits, FashionMNIST
from optuna_nas.measuring.device import versions
from optuna_nas.model import Classifier, build
from optuna_nas.spaces import CNN, MobileNet
from optuna_nas.study.description import describe, digest
from optuna_nas.study.training import TRAINER, calm, seeded, using_threads
from optuna_nas.supernet import evaluate

__all__ = ["FORMS", "Form", "about_alone", "fit", "quietly", "train_alone"]

CLIP = 1.0
"""Norm to which gradients are clipped: what networks of all sizes send differs widely."""


@dataclass(frozen=True)
class Form:
    """What is compared, and for how long it is trained.

    Args:
        space: Draws the networks.
        data: Makes the data module.
        module: Makes the recipe of training a network alone.
        recipe: Makes that of training the supernet.
        epochs_supernet: Epochs of the supernet.
        epochs_standalone: Epochs of each network alone.
        trainings: Trainings of each network alone, with seeds of their own.
        drawing: How the networks of the supernet that learn in a step are drawn, of `DRAWINGS`.
        paths: How many of them.
        most_flops: FLOPs at most of a network that is compared, as where a search has a cap.
    """

    space: Callable[[optuna.Trial], Architecture]
    data: Callable[[], ArrayDataModule]
    module: Callable[[nn.Module], Classifier]
    recipe: Callable[[nn.Module], Classifier]
    epochs_supernet: int
    epochs_standalone: int
    trainings: int
    drawing: str = "fair"
    paths: int = 2
    most_flops: float = math.inf


FOR_DIGITS = partial(Classifier, learning_rate=1e-2, warmup_steps=100)
DIGITS = Form(
    space=CNN(input_shape=(1, 8, 8), blocks=(1, 5), channels=(8, 16, 32, 64), kernels=(3, 5)),
    data=partial(Digits, validation=0.25, batch_size=64),
    module=FOR_DIGITS,
    recipe=FOR_DIGITS,
    epochs_supernet=100,
    epochs_standalone=18,
    trainings=2,
)
CLOTHES = MobileNet(
    input_shape=(1, 28, 28),
    stages=4,
    depths=(1, 2),
    widths=(8, 12, 16, 24),
    stem=(8,),
    head=(64,),
    expands=(2, 3, 4),
    kernels=(3, 5),
)
"""Small enough that thirty of them are trained in minutes, and up to a hundred times apart."""

FORMS: dict[tuple[str, bool], Form] = {
    ("cnn", True): DIGITS,
    ("cnn", False): replace(DIGITS, epochs_supernet=200, trainings=3),
    ("mobilenet", True): Form(
        space=CLOTHES,
        data=partial(FashionMNIST, size=1_200, batch_size=64),
        module=partial(Classifier, learning_rate=5e-3, warmup_steps=50),
        recipe=partial(Classifier, learning_rate=5e-3, warmup_steps=50),
        epochs_supernet=4,
        epochs_standalone=3,
        trainings=1,
    ),
    ("mobilenet", False): Form(
        space=CLOTHES,
        data=partial(FashionMNIST, size=20_000, validation=0.5, batch_size=64),
        module=partial(Classifier, learning_rate=5e-3, warmup_steps=100, schedule="cosine"),
        recipe=partial(Classifier, learning_rate=1e-2, warmup_steps=100, schedule="cosine"),
        epochs_supernet=60,
        epochs_standalone=8,
        trainings=1,
        drawing="best-up",
        most_flops=6e6,
    ),
}
"""Name of a space, and whether it is for a first impression -> what is compared."""


def about_alone(form: Form, data: ArrayDataModule) -> dict[str, Any]:
    """What the training of networks alone depends on, as JSON values."""
    described = [describe(form.space), describe(form.module), data.fingerprint]
    return {
        "alone": digest([*described, form.epochs_standalone, form.trainings]),
        "versions": versions(),
    }


def train_alone(form: Form, architecture: Architecture, seed: int) -> dict[str, Any]:
    """Train a network from scratch, as often as the form says."""
    data = form.data()
    data.setup("fit")
    accuracies, began = [], time.perf_counter()
    with quietly():
        for training in range(form.trainings):
            network = seeded(
                build, seed + training, architecture, data.input_shape, data.outputs, "cpu"
            )
            fit(form.module, network, data, form.epochs_standalone, seed + training)
            accuracies.append(evaluate(network, data.val_dataloader())["accuracy"])
    seconds = (time.perf_counter() - began) / form.trainings
    return {"accuracies": accuracies, "seconds_training": seconds}


def fit(
    recipe: Callable[[nn.Module], Classifier],
    network: nn.Module,
    data: ArrayDataModule,
    epochs: int,
    seed: int,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Train a network, or a supernet, by a recipe."""
    module = recipe(network)
    module.to(memory_format=torch.channels_last)  # twice as fast where they are depthwise
    trainer = Trainer(
        **{**TRAINER, "accelerator": "cpu", "limit_val_batches": 0},
        max_epochs=epochs,
        gradient_clip_val=CLIP,
        callbacks=list(callbacks),
    )
    seeded(trainer.fit, seed, module, datamodule=data)


@contextmanager
def quietly() -> Iterator[None]:
    """One thread, and nothing from Lightning that it says of every training."""
    with calm(), using_threads(1):
        yield
