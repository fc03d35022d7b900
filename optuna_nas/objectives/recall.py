"""What training logged: the share of each class that is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from optuna_nas.exceptions import DescriptionError
from optuna_nas.model.metrics import MakeMetric, RecallOf
from optuna_nas.objectives.metric import Metric
from optuna_nas.objectives.objective import Direction

__all__ = ["Recall"]


@dataclass(frozen=True, kw_only=True)
class Recall(Metric):
    """Recall of the validation examples, the mean over classes (macro), 0 to 1.

    Args:
        classes: Numbers of the classes that count, such as those of defects; all by default.
        monitor: Key under which the module logs it; by default `val_recall`, or
            `val_recall_of_1_2` of classes 1 and 2, which a Search has a `Classifier` log.

    Raises:
        DescriptionError: Classes that are no numbers from 0, or one twice.
    """

    name: str = "recall"
    unit: str = "fraction"
    direction: Direction = "maximize"
    monitor: str = ""
    classes: Sequence[int] = ()

    def __post_init__(self) -> None:
        classes = tuple(self.classes)
        whole = all(isinstance(number, int) and number >= 0 for number in classes)
        if not whole or len(set(classes)) < len(classes):
            raise DescriptionError(
                f"expected Recall(classes=...) of different whole numbers from 0, got {classes}"
            )
        object.__setattr__(self, "classes", classes)
        if not self.monitor:
            of = "_".join(("val_recall", *(["of"] if classes else []), *map(str, classes)))
            object.__setattr__(self, "monitor", of)
        super().__post_init__()

    def check_outputs(self, outputs: int | None) -> None:
        """Find out whether networks of so many outputs, where it is known, have the classes.

        Raises:
            DescriptionError: They do not.
        """
        if self.classes and outputs is not None:
            RecallOf(self.classes, outputs)

    @property
    def logged_by(self) -> MakeMetric | None:
        return partial(RecallOf, self.classes) if self.classes else super().logged_by
