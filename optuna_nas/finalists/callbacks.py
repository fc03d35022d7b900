"""What a full training does beside its recipe: it averages weights, and keeps the best."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, WeightAveraging
from torch import Tensor

__all__ = ["Averaging", "KeepBest"]


class Averaging(WeightAveraging):
    """Validates, and keeps in the end, the exponential moving average of weights and buffers.

    After n steps the average keeps min(decay, (1 + n) / (10 + n)) of itself, so that a short
    training soon forgets the weights that it began with.

    Args:
        decay: Share of the average that stays at each step, at most.

    Source: Polyak and Juditsky 1992, doi:10.1137/0330046; the warm-up as in TensorFlow's
    ExponentialMovingAverage.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(avg_fn=self._averaged)
        self.decay = decay

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the average also where a training was killed at its end, and only ends now."""
        self._copy_average_to_current(pl_module)

    def _averaged(self, average: Tensor, new: Tensor, steps: Tensor | int) -> Tensor:
        if not average.is_floating_point():  # a count of batches
            return new
        n = int(steps)
        return torch.lerp(new, average, min(self.decay, (1 + n) / (10 + n)))


class KeepBest(Callback):
    """Ends a training with the weights, and the logged values, of its best validation.

    What is kept is what was validated, averages of weights included. Checkpoints have it too.

    Args:
        monitor: Logged metric that says which validation is best; of equal ones the first is.
        mode: Whether most (`max`) or least (`min`) of it is best; anything is better than NaN.
    """

    def __init__(self, monitor: str, mode: str) -> None:
        self.monitor, self.mode = monitor, mode
        self._validated: dict[str, Tensor] = {}
        self._best: dict[str, Any] = {}

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Copy the weights: by now those are in place that are validated."""
        if batch_idx == dataloader_idx == 0:
            self._validated = _copied(pl_module.state_dict())

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep them where they are better than any before."""
        logged = _copied(trainer.callback_metrics)
        if trainer.sanity_checking or self.monitor not in logged:
            return
        score = float(logged[self.monitor]) * (1 if self.mode == "max" else -1)
        if not self._best or score > self._best["score"] or math.isnan(self._best["score"]):
            self._best = {"score": score, "weights": self._validated, "logged": logged}

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put them back, and what was logged then."""
        if self._best:
            pl_module.load_state_dict(self._best["weights"])
            trainer.callback_metrics.update(self._best["logged"])

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return self._best

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._best = state_dict


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
