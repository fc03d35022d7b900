"""What a classifier can log of its validation beside loss and accuracy; torchmetrics counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import (
    MulticlassCalibrationError,
    MulticlassF1Score,
    MulticlassRecall,
)

from optuna_nas.exceptions import DescriptionError

__all__ = ["METRICS", "MakeMetric", "RecallOf"]

MakeMetric = Callable[..., Metric]
"""Makes a metric of logits' softmax (B, classes, ...) and targets (B, ...), by `num_classes`."""


class RecallOf(MulticlassRecall):
    """Recall of chosen classes, the mean over those of them that have examples; NaN for none.

    Args:
        classes: Their numbers.
        num_classes: How many classes there are.
        **options: As for torchmetrics' `MulticlassRecall`.

    Raises:
        DescriptionError: A class that there is not.
    """

    def __init__(self, classes: Sequence[int], num_classes: int, **options: Any) -> None:
        super().__init__(num_classes, average="none", **options)
        if max(classes) >= num_classes:
            raise DescriptionError(
                f"expected classes from 0 to {num_classes - 1} to recall, got {max(classes)}"
            )
        self.classes = list(classes)

    def compute(self) -> Tensor:
        recall: Tensor = super().compute()
        hits, misses = (getattr(self, state)[self.classes] for state in ("tp", "fn"))
        return recall[self.classes][hits + misses > 0].mean()


METRICS: dict[str, MakeMetric] = {
    "calibration_error": MulticlassCalibrationError,
    "f1": partial(MulticlassF1Score, average="macro"),
    "recall": partial(MulticlassRecall, average="macro"),
}
"""What a Classifier logs where it is asked to, as `val_<name>`."""
