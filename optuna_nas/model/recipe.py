"""What the training recipes share."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from optuna_nas.blocks import auxiliary_losses
from optuna_nas.exceptions import DescriptionError, TrainingError
from optuna_nas.names import choose

__all__ = ["OPTIMISERS", "SCHEDULES", "Batch", "Recipe", "expect_number"]

Batch = tuple[Tensor, Tensor]


def _adamw(network: nn.Module, learning_rate: float, decay: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=decay, fused=True)


def _sgd(network: nn.Module, learning_rate: float, decay: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        network.parameters(), learning_rate, momentum=0.9, nesterov=True, weight_decay=decay
    )


OPTIMISERS: dict[str, Callable[[nn.Module, float, float], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "sgd": _sgd,
}
"""Optimisers of a recipe; "sgd" has a Nesterov momentum of 0.9."""


def _inverse_square_root(step: int, warmup: int, last: Callable[[], float]) -> float:
    return math.sqrt(warmup / (step + 1))


def _cosine(step: int, warmup: int, last: Callable[[], float]) -> float:
    end = last()
    if math.isinf(end):
        raise DescriptionError(
            "expected a training of known length beside schedule='cosine', got one without; give "
            "it epochs or steps, or use schedule='inverse_square_root'"
        )
    left = (end - step) / max(end - warmup, 1.0)
    return (1 - math.cos(math.pi * min(max(left, 0.0), 1.0))) / 2


SCHEDULES: dict[str, Callable[[int, int, Callable[[], float]], float]] = {
    "cosine": _cosine,
    "inverse_square_root": _inverse_square_root,
}
"""Factor of the learning rate at a step, after so many of warm-up, up to the last."""


class Recipe(LightningModule, abc.ABC):
    """An optimiser, a schedule of the learning rate, a watch on the loss.

    The learning rate rises linearly for `warmup_steps` steps. After that it falls with the inverse
    square root of the step, which does not know when training ends: networks stopped at one rung
    have seen one schedule, whatever their final epoch would have been. Or it falls along a cosine
    to 0 at the end, for trainings that nobody stops. A recipe says by `loss` what is learned from
    a batch. What blocks of the network add to it, such as load balancing, is part of training.

    Args:
        network: The network to train.
        optimiser: adamw, or sgd.
        learning_rate: Peak of the learning rate.
        weight_decay: Weight decay, decoupled with adamw.
        warmup_steps: Steps until the peak, at least 1.
        schedule: inverse_square_root, or cosine.

    Raises:
        DescriptionError: An unknown optimiser or schedule, or a number out of its range.
        TrainingError: At the end of an epoch in which a loss was NaN or infinite.

    Source: AdamW, Loshchilov and Hutter 2019, arXiv:1711.05101; inverse square root, Vaswani et
    al. 2017, arXiv:1706.03762, section 5.3; cosine, Loshchilov and Hutter 2017, arXiv:1608.03983.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        optimiser: str,
        learning_rate: float,
        weight_decay: float,
        warmup_steps: int,
        schedule: str = "inverse_square_root",
    ) -> None:
        super().__init__()
        expect_number("learning_rate", learning_rate, 0 < learning_rate < math.inf, "above 0")
        expect_number("weight_decay", weight_decay, 0 <= weight_decay < math.inf, "from 0")
        expect_number("warmup_steps", warmup_steps, 1 <= warmup_steps < math.inf, "from 1")
        self.network = network
        self.optimiser = optimiser
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps
        self.schedule = schedule
        self._falling = choose("schedule", schedule, SCHEDULES)
        self._make = choose("optimiser", optimiser, OPTIMISERS)
        self._training_loss = torch.zeros(())

    @abc.abstractmethod
    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """What a batch is learned from: outputs (B, ...) and targets (B, ...) -> ()."""

    def batch_loss(self, x: Tensor, outputs: Tensor, y: Tensor) -> Tensor:
        """The loss of a batch in training, where it takes the inputs (B, ...) too."""
        return self.loss(outputs, y)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = self._make(self, self.learning_rate, self.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        x, y = batch
        with auxiliary_losses() as extra:
            outputs = self.network(x)
        loss = self.batch_loss(x, outputs, y) + sum(extra)
        self._training_loss.add_(loss.detach())
        return loss

    def on_train_epoch_start(self) -> None:
        self._training_loss = torch.zeros((), device=self.device)

    def on_train_epoch_end(self) -> None:
        self.check_training_loss()

    def check_training_loss(self) -> None:
        """Refuse to go on once a loss of this epoch was not finite.

        Raises:
            TrainingError: One was not.
        """
        self.check("training loss", self._training_loss)

    def check(self, name: str, loss: Tensor) -> None:
        """Refuse to go on with a loss that is not finite.

        Raises:
            TrainingError: It is not.
        """
        if not torch.isfinite(loss):
            raise TrainingError(
                f"expected a finite {name}, got {float(loss)} in epoch {self.current_epoch}; "
                f"lower learning_rate={self.learning_rate}"
            )

    def _factor(self, step: int) -> float:
        done = (step + 1) / self.warmup_steps
        return done if done < 1 else self._falling(step, self.warmup_steps, self._last_step)

    def _last_step(self) -> float:
        return float(self.trainer.estimated_stepping_batches)


def expect_number(name: str, value: float, legal: bool, wanted: str) -> None:
    """Refuse an argument of a recipe that is out of its range.

    Raises:
        DescriptionError: It is.
    """
    if not legal:
        raise DescriptionError(f"expected {name} {wanted}, got {name}={value}")
