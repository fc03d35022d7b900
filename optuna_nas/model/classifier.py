"""The training recipe of a classifier as a LightningModule."""

from __future__ import annotations

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from optuna_nas.exceptions import TrainingError

__all__ = ["Classifier"]

Batch = tuple[Tensor, Tensor]


class Classifier(LightningModule):
    """Cross entropy, AdamW, and a learning rate that does not know when training ends.

    The learning rate rises linearly for `warmup_steps` steps and then falls with the inverse
    square root of the step: networks stopped at one rung have seen one schedule, whatever
    their final epoch would have been. Logs `val_loss` and `val_accuracy` (a fraction), exact over
    the whole validation set, once an epoch, and nothing during training.

    Args:
        network: Module (B, *input_shape) -> (B, classes) that returns logits.
        learning_rate: Peak of the learning rate.
        weight_decay: Decoupled weight decay of AdamW.
        warmup_steps: Steps until the peak, at least 1.
        label_smoothing: Share of the target spread over all classes, in training only.

    Raises:
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
    ) -> None:
        super().__init__()
        self.network = network
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps
        self.label_smoothing = label_smoothing
        self._training_loss = torch.zeros(())
        self._sums: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (B, *input_shape) -> (B, classes)."""
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
        loss = cross_entropy(self.network(x), y, label_smoothing=self.label_smoothing)
        self._training_loss.add_(loss.detach())
        return loss

    def on_train_epoch_start(self) -> None:
        self._training_loss = torch.zeros((), device=self.device)

    def on_train_epoch_end(self) -> None:
        self._check("training loss", self._training_loss)

    def on_validation_epoch_start(self) -> None:
        self._sums = []

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        x, y = batch
        logits = self.network(x).float()  # counts must be exact in any precision
        loss = cross_entropy(logits, y, reduction="sum")
        hits = (logits.argmax(1) == y).sum()
        self._sums.append(torch.stack([loss, hits, torch.full_like(loss, len(y))]))

    def on_validation_epoch_end(self) -> None:
        self._check("training loss", self._training_loss)
        total = self.trainer.strategy.reduce(torch.stack(self._sums).sum(0), reduce_op="sum")
        loss, accuracy = (total[:2] / total[2]).unbind()
        self._check("validation loss", loss)
        self.log_dict({"val_loss": loss, "val_accuracy": accuracy})

    def _factor(self, step: int) -> float:
        done = (step + 1) / self.warmup_steps
        return float(min(done, done**-0.5))

    def _check(self, name: str, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise TrainingError(
                f"expected a finite {name}, got {float(loss)} in epoch {self.current_epoch}; "
                f"lower learning_rate={self.learning_rate}"
            )
