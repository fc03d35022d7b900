"""What an objective is: Candidate -> Measurement, with a name, a unit, a direction and a stage."""

from __future__ import annotations

import abc
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from optuna_nas.exceptions import DescriptionError
from optuna_nas.objectives.candidate import Candidate

__all__ = ["STAGES", "Direction", "Measurement", "Objective", "Stage", "keeps"]

Direction = Literal["minimize", "maximize"]
Stage = Literal["architecture", "model", "trained"]
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True)
class Measurement:
    """A measured value with what is needed to judge it.

    Args:
        value: In the objective's unit.
        spread: Interquartile range of repeats, in the same unit; None where there is no noise.
        details: How it was measured; JSON values only.
    """

    value: float
    spread: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Objective(abc.ABC):
    """One quantity that a network is judged by.

    Args:
        name: Key of the value in results and reports.
        unit: Unit of the value, shown wherever it is.
        direction: Whether less or more is better.
        max: Cap: a candidate above it is rejected, before training where that is possible.
        min: Floor: a candidate below it is rejected.

    Attributes:
        stage: When it can be measured: on the `architecture`, on the untrained `model`, or once
            `trained`. Stages run in that order.
        on_device: Whether its values depend on the machine that measures.
    """

    name: str
    unit: str
    direction: Direction
    max: float | None = None
    min: float | None = None
    stage: ClassVar[Stage]
    on_device: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.direction not in get_args(Direction):
            raise DescriptionError(
                f"expected direction 'minimize' or 'maximize' for {self.name!r}, "
                f"got {self.direction!r}"
            )
        for bound in (self.max, self.min):
            if bound is not None and not math.isfinite(bound):
                raise DescriptionError(f"expected a finite cap for {self.name!r}, got {bound}")

    @abc.abstractmethod
    def __call__(self, candidate: Candidate) -> Measurement:
        """Measure a candidate.

        Raises:
            MeasurementError: The quantity cannot be measured here.
        """

    def check(self) -> None:
        """Find out whether this can be measured here; a search asks before its first trial.

        Raises:
            MeasurementError: It cannot, with what is absent and what to do.
        """
        return

    @property
    def label(self) -> str:
        """Name and unit, as studies and plots show it, such as `latency (ms)`."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def violation(self, value: float) -> float | None:
        """By how much a value breaks the cap, relative to it; at most 0 within, None uncapped."""
        over = []
        if self.max is not None:
            over.append((value - self.max) / (abs(self.max) or 1.0))
        if self.min is not None:
            over.append((self.min - value) / (abs(self.min) or 1.0))
        return max(over) if over else None

    def calibrate(self) -> dict[str, Any] | None:
        """Measure once what all measurements of a study share; stored with the study as JSON."""
        return None


def keeps(caps: Iterable[Objective], candidate: Candidate) -> bool:
    """Whether a candidate is within the caps of some quantities, which are measured for that.

    Raises:
        MeasurementError: One cannot be measured here.
    """
    return all((cap.violation(cap(candidate).value) or 0.0) <= 0 for cap in caps)
