"""The training recipe of a regression as a LightningModule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss, smooth_l1_loss
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection, R2Score

from optuna_nas.model.recipe import Batch, Recipe
from optuna_nas.names import choose

__all__ = ["LOSSES", "Regressor"]

LOSSES: dict[str, Callable[..., Tensor]] = {
    "huber": smooth_l1_loss,
    "mae": l1_loss,
    "mse": mse_loss,
}
"""What a Regressor may minimise, each on targets of deviation 1."""


class Regressor(Recipe):
    """Values of any unit, learned at mean 0 and deviation 1.

    The network returns standardised values; `forward` and all that is logged are in the unit of
    the targets. Mean and deviation are those of the training split where the data module has
    `target_statistics`, as `ArrayDataModule` does, and 0 and 1 elsewhere; a checkpoint keeps
    them. Logs `val_loss` (the mean squared error), `val_mae` and `val_r2` (the coefficient of
    determination, the mean over values) over the whole validation set, once an epoch.

    Args:
        network: Module (B, *input_shape) -> (B, values).
        loss: mse, mae or huber, in training.
        optimiser: adamw, or sgd with momentum.
        learning_rate: Peak of the learning rate.
        weight_decay: Weight decay, decoupled with adamw.
        warmup_steps: Steps until the peak, at least 1.
        schedule: inverse_square_root, or cosine down to 0 at the end of training.

    Raises:
        DescriptionError: An unknown loss, optimiser or schedule, or a number out of its range.
        TrainingError: At the end of an epoch in which a loss was NaN or infinite.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        loss: str = "mse",
        optimiser: str = "adamw",
        learning_rate: float = 3e-3,
        weight_decay: float = 0.01,
        warmup_steps: int = 50,
        schedule: str = "inverse_square_root",
    ) -> None:
        super().__init__(
            network,
            optimiser=optimiser,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_steps=warmup_steps,
            schedule=schedule,
        )
        self._minimised = choose("loss", loss, LOSSES)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))
        metrics: dict[str, Any] = {"loss": MeanSquaredError(), "mae": MeanAbsoluteError()}
        self._metrics = MetricCollection({**metrics, "r2": R2Score()}, prefix="val_")

    def forward(self, x: Tensor) -> Tensor:
        """Values in the unit of the targets, (B, *input_shape) -> (B, values)."""
        values: Tensor = self.network(x) * self.deviation + self.mean
        return values

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The loss of standardised values (B, values) for targets (B,) or (B, values)."""
        wanted = (y.reshape(outputs.shape) - self.mean) / self.deviation
        return self._minimised(outputs, wanted)

    def setup(self, stage: str) -> None:
        """Take the mean and the deviation of the targets where the data has them."""
        data = getattr(self.trainer, "datamodule", None)
        statistics = getattr(data, "target_statistics", None)
        if statistics is not None:
            mean, deviation = (torch.as_tensor(s, dtype=torch.float32) for s in statistics)
            self.mean, self.deviation = mean.to(self.device), deviation.to(self.device)

    def on_validation_epoch_start(self) -> None:
        self._metrics.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        x, y = batch
        values = self(x).float()
        self._metrics.update(values.reshape(y.shape), y)

    def on_validation_epoch_end(self) -> None:
        self.check_training_loss()
        found = self._metrics.compute()
        self.check("validation loss", found["val_loss"])
        self.log_dict(found)
