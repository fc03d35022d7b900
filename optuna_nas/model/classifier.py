"""The training recipe of a classifier as a LightningModule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassCalibrationError,
    MulticlassF1Score,
    MulticlassRecall,
)

from optuna_nas.blocks import auxiliary_losses
from optuna_nas.exceptions import TrainingError
from optuna_nas.names import choose

__all__ = ["METRICS", "Classifier"]

Batch = tuple[Tensor, Tensor]

METRICS: dict[str, Callable[..., Metric]] = {
    "calibration_error": MulticlassCalibrationError,
    "f1": partial(MulticlassF1Score, average="macro"),
    "recall": partial(MulticlassRecall, average="macro"),
}
"""What a Classifier logs where it is asked to, as `val_<name>`."""


class Classifier(LightningModule):
    """Cross entropy, AdamW, and a learning rate that does not know when training ends.

    The learning rate rises linearly for `warmup_steps` steps and then falls with the inverse
    square root of the step: networks stopped at one rung have seen one schedule, whatever
    their final epoch would have been. Logs `val_loss` and `val_accuracy` (a fraction), exact over
    the whole validation set, once an epoch, and nothing during training. Other metrics cost time
    in every epoch and are logged where asked for; a Search asks for those that it is to judge by.

    Args:
        network: Module (B, *input_shape) -> (B, classes) that returns logits; or (B, classes, ...)
            for targets (B, ...), a class of each position, such as the next token. What its
            blocks add to the loss, such as load balancing, is part of training.
        learning_rate: Peak of the learning rate.
        weight_decay: Decoupled weight decay of AdamW.
        warmup_steps: Steps until the peak, at least 1.
        label_smoothing: Share of the target spread over all classes, in training only.
        metrics: What else to log as `val_<name>`: calibration_error, f1, recall (both over
            classes equally).

    Raises:
        DescriptionError: An unknown metric.
        TrainingError: At the end of an epoch in which a loss was NaN or infinite.

    Source: AdamW, Loshchilov and Hutter 2019, arXiv:1711.05101; schedule, Vaswani et al. 2017,
    arXiv:1706.03762, section 5.3.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.01,
        warmup_steps: int = 50,
        label_smoothing: float = 0.0,
        metrics: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps
        self.label_smoothing = label_smoothing
        self._training_loss = torch.zeros(())
        self._sums: list[Tensor] = []
        self._wanted: dict[str, Callable[..., Metric]] = {}
        self._metrics = MetricCollection({}, prefix="val_")
        self.log_also(metrics)

    def log_also(self, metrics: Iterable[str]) -> None:
        """Log further metrics of `METRICS` from the next validation on.

        Raises:
            DescriptionError: An unknown metric.
        """
        self._wanted |= {name: choose("metric", name, METRICS) for name in metrics}

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (B, *input_shape) -> (B, classes, ...)."""
        logits: Tensor = self.network(x)
        return logits

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.AdamW(
            self.parameters(), self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        x, y = batch
        with auxiliary_losses() as extra:
            logits = self.network(x)
        loss = cross_entropy(logits, y, label_smoothing=self.label_smoothing) + sum(extra)
        self._training_loss.add_(loss.detach())
        return loss

    def on_train_epoch_start(self) -> None:
        self._training_loss = torch.zeros((), device=self.device)

    def on_train_epoch_end(self) -> None:
        self._check("training loss", self._training_loss)

    def on_validation_epoch_start(self) -> None:
        self._sums = []
        self._metrics.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        x, y = batch
        logits = self.network(x).float()  # counts must be exact in any precision
        loss = cross_entropy(logits, y, reduction="sum")
        hits = (logits.argmax(1) == y).sum()
        self._sums.append(torch.stack([loss, hits, torch.full_like(loss, y.numel())]))
        if self._wanted:
            self._update(logits, y)

    def on_validation_epoch_end(self) -> None:
        self._check("training loss", self._training_loss)
        total = self.trainer.strategy.reduce(torch.stack(self._sums).sum(0), reduce_op="sum")
        loss, accuracy = (total[:2] / total[2]).unbind()
        self._check("validation loss", loss)
        further = self._metrics.compute() if self._wanted else {}
        self.log_dict({"val_loss": loss, "val_accuracy": accuracy, **further})

    def _update(self, logits: Tensor, y: Tensor) -> None:
        missing = self._wanted.keys() - self._metrics.keys(keep_base=True)
        for name in sorted(missing):  # not before now: the number of classes is in the logits
            metric = self._wanted[name](num_classes=logits.shape[1], validate_args=False)
            self._metrics.add_metrics({name: metric.to(self.device)})
        self._metrics.update(logits.softmax(1), y)

    def _factor(self, step: int) -> float:
        done = (step + 1) / self.warmup_steps
        return float(min(done, done**-0.5))

    def _check(self, name: str, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise TrainingError(
                f"expected a finite {name}, got {float(loss)} in epoch {self.current_epoch}; "
                f"lower learning_rate={self.learning_rate}"
            )
