"""What zero-cost proxies share: a copy of the untrained network, and a few examples for it."""

from __future__ import annotations

import abc
import copy
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from optuna_nas.exceptions import DataError, DescriptionError, MeasurementError
from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.objective import Direction, Measurement, Objective, Stage

__all__ = ["ZeroCost", "checked", "gradients", "loss_gradients", "output", "same_randomness"]

DROPOUTS = (
    nn.AlphaDropout,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.FeatureAlphaDropout,
)


@dataclass(frozen=True, kw_only=True)
class ZeroCost(Objective):
    """A guess at what training will make of a network, from a few examples of the training data.

    The examples are the same for every network. It is a copy that sees them, in training mode,
    so that batch norm uses their statistics, with dropout off. Normalised differently, or with
    other weights, a network has another value: compare those of one study.

    Args:
        examples: Training examples to look at.

    Raises:
        DescriptionError: Fewer than two examples.
    """

    unit: str = ""
    direction: Direction = "maximize"
    examples: int = 64
    stage: ClassVar[Stage] = "model"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.examples < 2:
            raise DescriptionError(
                f"expected {type(self).__name__}(examples=...) of at least 2, got {self.examples}"
            )

    def __call__(self, candidate: Candidate) -> Measurement:
        with same_randomness():
            x, y = self._batch(candidate)
            network = copy.deepcopy(candidate.network).train()
            for module in network.modules():
                if isinstance(module, DROPOUTS):
                    module.eval()
            value = self.score(network, x.to(candidate.example().device), y)
        return Measurement(checked(self, value), details={"examples": len(x)})

    @abc.abstractmethod
    def score(self, network: nn.Module, x: Tensor, y: Tensor) -> float:
        """The value for a network that may be changed, inputs (B, ...) and targets (B, ...).

        Raises:
            MeasurementError: It is not defined for this network.
        """

    def _batch(self, candidate: Candidate) -> tuple[Tensor, Tensor]:
        xs, ys, count = [], [], 0
        for x, y in candidate.batches("train"):
            xs.append(x)
            ys.append(y)
            count += len(x)
            if count >= self.examples:
                break
        if count < 2:
            raise DataError(f"expected at least 2 training examples for {self.name}, got {count}")
        return torch.cat(xs)[: self.examples], torch.cat(ys)[: self.examples]


@contextmanager
def same_randomness() -> Iterator[None]:
    """Draw the same random numbers every time, and leave those of others as they were."""
    with isolate_rng(include_cuda=False), torch.enable_grad():
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        yield


def checked(objective: Objective, value: float) -> float:
    """The value, if it is a number.

    Raises:
        MeasurementError: It is NaN or infinite.
    """
    if not math.isfinite(value):
        raise MeasurementError(
            f"expected a finite {objective.name}, got {value}: signals or gradients of the "
            "untrained network vanish or overflow; narrow the space, or leave this proxy out"
        )
    return value


def output(objective: Objective, network: nn.Module, x: Tensor) -> Tensor:
    """What a network says of inputs.

    Raises:
        MeasurementError: It fails on them.
    """
    try:
        found: Tensor = network(x)
    except Exception as error:  # whatever a network of the user's raises
        raise MeasurementError(
            f"expected a network that takes {x.dtype} of shape {tuple(x.shape)}, which "
            f"{objective.name} needs, got {type(error).__name__}: {error}"
        ) from error
    return found


def loss_gradients(
    objective: Objective, network: nn.Module, x: Tensor, y: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Each trainable weight, biases and norms left out, and the gradient of the loss for it.

    Raises:
        DataError: The targets are no classes of samples or positions, so that there is no cross
            entropy.
        MeasurementError: The network has no trainable weights.
    """
    logits = output(objective, network, x)
    if y.is_floating_point() or y.shape != logits.shape[:1] + logits.shape[2:]:
        raise DataError(
            f"expected targets (B,) of classes for {objective.name}, or of one at each position "
            "of the output, since it takes the gradient of the cross entropy, got "
            f"{y.dtype} of shape {tuple(y.shape)}"
        )
    return gradients(objective, network, cross_entropy(logits, y.to(x.device)))


def gradients(
    objective: Objective, network: nn.Module, scalar: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Each trainable weight, biases and norms left out, and the gradient of a scalar for it."""
    weights = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    if not weights or not scalar.requires_grad:
        raise MeasurementError(
            f"expected a network with trainable weights for {objective.name}, got none"
        )
    found = torch.autograd.grad(scalar, weights, allow_unused=True)
    return [(w.detach(), g) for w, g in zip(weights, found, strict=True) if g is not None]
