"""The training recipe of a classifier as a LightningModule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import MetricCollection

from optuna_nas.exceptions import DescriptionError
from optuna_nas.model.augmentation import augment
from optuna_nas.model.focal import focal_loss
from optuna_nas.model.metrics import METRICS, MakeMetric
from optuna_nas.model.recipe import Batch, Recipe, expect_number
from optuna_nas.names import choose

__all__ = ["LOSSES", "Classifier"]

LOSSES: dict[str, Callable[..., Tensor]] = {"cross_entropy": cross_entropy, "focal": focal_loss}
"""What a Classifier may minimise; "focal" turns to the samples that it gets wrong."""


class Classifier(Recipe):
    """Cross entropy, by the optimiser and the learning rate of a `Recipe`.

    Logs `val_loss` (the cross entropy, whatever is minimised) and `val_accuracy` (a fraction),
    exact over the whole validation set, once an epoch, and nothing during training. Other metrics
    cost time in every epoch and are logged where asked for; a Search asks for those that it is to
    judge by.

    Args:
        network: Module (B, *input_shape) -> (B, classes) that returns logits; or (B, classes, ...)
            for targets (B, ...), a class of each position, such as the next token.
        loss: cross_entropy, or focal, in training.
        optimiser: adamw, or sgd with momentum.
        learning_rate: Peak of the learning rate.
        weight_decay: Weight decay, decoupled with adamw.
        warmup_steps: Steps until the peak, at least 1.
        schedule: inverse_square_root, or cosine down to 0 at the end of training.
        label_smoothing: Share of the target spread over all classes, in training only.
        augmentation: Strength, 0 to 1, of random shifts and cutouts of images, in training only.
        flip: Whether images are mirrored at random, left to right, in training only.
        class_weights: Weight of each class in the loss, in training only: numbers, or "balanced",
            inverse to the class's share of the training split, which the data module must count
            as `class_counts`; 1 by default.
        metrics: What else to log as `val_<name>`: calibration_error, f1, recall (both over
            classes equally); or name -> what makes a torchmetrics metric from `num_classes`.

    Raises:
        DescriptionError: An unknown metric, loss, optimiser or schedule, a number out of its
            range, or weights that are no numbers above 0 or do not fit the data.
        TrainingError: At the end of an epoch in which a loss was NaN or infinite.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        loss: str = "cross_entropy",
        optimiser: str = "adamw",
        learning_rate: float = 3e-3,
        weight_decay: float = 0.01,
        warmup_steps: int = 50,
        schedule: str = "inverse_square_root",
        label_smoothing: float = 0.0,
        augmentation: float = 0.0,
        flip: bool = False,
        class_weights: Literal["balanced"] | Sequence[float] | None = None,
        metrics: Iterable[str] | Mapping[str, MakeMetric] = (),
    ) -> None:
        super().__init__(
            network,
            optimiser=optimiser,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_steps=warmup_steps,
            schedule=schedule,
        )
        expect_number("label_smoothing", label_smoothing, 0 <= label_smoothing < 1, "in [0, 1)")
        expect_number("augmentation", augmentation, 0 <= augmentation <= 1, "from 0 to 1")
        self.label_smoothing = label_smoothing
        self.augmentation = augmentation
        self.flip = flip
        self._minimised = choose("loss", loss, LOSSES)
        self.class_weights = _checked(class_weights)
        self._weight: Tensor | None = None
        self._sums: list[Tensor] = []
        self._wanted: dict[str, MakeMetric] = {}
        self._metrics = MetricCollection({}, prefix="val_")
        self.log_also(metrics)

    def log_also(self, metrics: Iterable[str] | Mapping[str, MakeMetric]) -> None:
        """Log further metrics from the next validation on.

        Args:
            metrics: Names, or name -> metric, as for the class.

        Raises:
            DescriptionError: An unknown metric.
        """
        if not isinstance(metrics, Mapping):
            metrics = {name: choose("metric", name, METRICS) for name in metrics}
        self._wanted |= metrics

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (B, *input_shape) -> (B, classes, ...)."""
        logits: Tensor = self.network(x)
        return logits

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The loss of logits (B, classes, ...) for targets (B, ...)."""
        smoothing = self.label_smoothing
        return self._minimised(outputs, y, weight=self._weight, label_smoothing=smoothing)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        x, y = batch
        if self.augmentation or self.flip:
            x = augment(x, self.augmentation, self.flip)
        return super().training_step((x, y), batch_idx)

    def on_fit_start(self) -> None:
        if self.class_weights is not None:
            counts = getattr(getattr(self.trainer, "datamodule", None), "class_counts", None)
            weights = _weights(self.class_weights, None if counts is None else list(counts))
            self._weight = torch.tensor(weights, dtype=torch.float32, device=self.device)

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
        self.check_training_loss()
        total = self.trainer.strategy.reduce(torch.stack(self._sums).sum(0), reduce_op="sum")
        loss, accuracy = (total[:2] / total[2]).unbind()
        self.check("validation loss", loss)
        further = self._metrics.compute() if self._wanted else {}
        self.log_dict({"val_loss": loss, "val_accuracy": accuracy, **further})

    def _update(self, logits: Tensor, y: Tensor) -> None:
        missing = self._wanted.keys() - self._metrics.keys(keep_base=True)
        for name in sorted(missing):  # not before now: the number of classes is in the logits
            metric = self._wanted[name](num_classes=logits.shape[1], validate_args=False)
            self._metrics.add_metrics({name: metric.to(self.device)})
        self._metrics.update(logits.softmax(1), y)


def _checked(
    weights: Literal["balanced"] | Sequence[float] | None,
) -> Literal["balanced"] | tuple[float, ...] | None:
    if weights is None or weights == "balanced":
        return weights
    numbers = () if isinstance(weights, str) else tuple(map(float, weights))
    if not numbers or not all(0 < number < math.inf for number in numbers):
        raise DescriptionError(
            f"expected class_weights='balanced' or a number above 0 for each class, got {weights}"
        )
    return numbers


def _weights(
    wanted: Literal["balanced"] | tuple[float, ...], counts: Sequence[int] | None
) -> list[float]:
    """The weight of each class; balanced ones are 1 on the mean over samples."""
    if wanted != "balanced":
        if counts is not None and len(counts) != len(wanted):
            raise DescriptionError(
                f"expected class_weights for {len(counts)} classes, got {len(wanted)} numbers"
            )
        return list(wanted)
    if counts is None or min(counts) == 0:
        got = "none" if counts is None else str(list(map(int, counts)))
        raise DescriptionError(
            "expected a data module with `class_counts`, the samples of each class in the "
            f"training split, all above 0, beside class_weights='balanced', got {got}; "
            "or give the weights as numbers"
        )
    return [sum(counts) / (len(counts) * count) for count in counts]
