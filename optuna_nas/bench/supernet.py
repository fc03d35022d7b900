"""How a supernet ranks networks that were never trained alone, against training each of them.

A supernet is trained once. Networks drawn at random are scored with the weights that they inherit,
batch norm recalibrated, and then trained from scratch by the same recipe, several times where that
is cheap. Rank correlations are between what is known without training a network and its validation
accuracy after training, the mean over its trainings: of the inherited loss (`spearman`, `kendall`,
positive where a lower loss means a higher accuracy), of the inherited accuracy, and of what costs
nothing at all, the numbers of parameters and of FLOPs. `over_parameters` and `over_flops` are how
much further `spearman` is from 0 than theirs. Intervals are 95 % of bootstrap samples of the
networks. `spearman_trainings`, between trainings that differ in their seeds alone, says how much
of the order is noise.

What a network costs beside being trained is in `subnets.py`.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, LambdaCallback
from rich.console import Console
from rich.progress import Progress
from torch import nn

from optuna_nas.architecture import Architecture
from optuna_nas.bench.correlations import correlations
from optuna_nas.bench.processes import processes
from optuna_nas.bench.ranked import figure, table
from optuna_nas.bench.subnets import costs
from optuna_nas.datasets import ArrayDataModule, Digits, FashionMNIST
from optuna_nas.exceptions import DescriptionError
from optuna_nas.measuring.device import fingerprint, versions
from optuna_nas.model import Classifier, build
from optuna_nas.objectives import Candidate, FLOPs, Parameters
from optuna_nas.spaces import CNN, MobileNet
from optuna_nas.spaces.draws import random_trials
from optuna_nas.study.training import TRAINER, seeded
from optuna_nas.supernet import Drawing, Fair, Paths, SharedWeights, Supernet, evaluate, score

__all__ = ["FORMS", "Form", "figure", "run", "table"]

FEWEST = 20
"""Networks at least: of fewer, a rank correlation says next to nothing."""


@dataclass(frozen=True)
class Form:
    """What is compared, and for how long it is trained.

    Args:
        space: Draws the networks.
        data: Makes the data module.
        module: Makes the recipe of training from a network, for the supernet and for networks
            alone.
        epochs_supernet: Epochs of the supernet.
        epochs_standalone: Epochs of each network alone.
        trainings: Trainings of each network alone, with seeds of their own.
        drawing: Draws the networks of the supernet that learn in a step.
        paths: How many of them.
    """

    space: Callable[[optuna.Trial], Architecture]
    data: Callable[[], ArrayDataModule]
    module: Callable[[nn.Module], Classifier]
    epochs_supernet: int
    epochs_standalone: int
    trainings: int
    drawing: Drawing = Fair()
    paths: int = 2


DIGITS = Form(
    space=CNN(input_shape=(1, 8, 8), blocks=(1, 5), channels=(8, 16, 32, 64), kernels=(3, 5)),
    data=partial(Digits, validation=0.25, batch_size=64),
    module=partial(Classifier, learning_rate=1e-2, warmup_steps=100),
    epochs_supernet=60,
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
