"""Every network of a space, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from optuna_nas.exceptions import SpaceError
from optuna_nas.samplers.virtual import Proposal, draw

__all__ = ["Enumeration"]

POINTS = 16
"""Values that stand for a continuous range."""


class Enumeration(Iterator[Proposal | None]):
    """Runs a space with every combination of values; None for one that it cannot be run with.

    Args:
        space: Draws networks from a trial.

    Attributes:
        continuous: Whether a range without steps was met, so that there are more.
    """

    def __init__(self, space: Callable[[Any], Any]) -> None:
        self._space = space
        self._path: list[tuple[int, int]] | None = []
        self.continuous = False

    @property
    def ended(self) -> bool:
        """Whether every combination was run."""
        return self._path is None

    def __next__(self) -> Proposal | None:
        if self._path is None:
            raise StopIteration
        planned = [place for place, _ in self._path]
        walked: list[tuple[int, int]] = []

        def value(name: str, distribution: BaseDistribution) -> Any:
            place = planned[len(walked)] if len(walked) < len(planned) else 0
            walked.append((place, self._count(distribution)))
            return _value(distribution, place)

        found = None
        with suppress(SpaceError):
            found = draw(self._space, value)
        self._path = _next(walked)
        return found

    def _count(self, distribution: BaseDistribution) -> int:
        if isinstance(distribution, CategoricalDistribution):
            return len(distribution.choices)
        if not isinstance(distribution, IntDistribution | FloatDistribution):
            raise SpaceError(f"expected a distribution of Optuna's, got {distribution}")
        if distribution.single():
            return 1
        if distribution.step is None:
            self.continuous = True
            return POINTS
        return round((distribution.high - distribution.low) / distribution.step) + 1


def _value(distribution: Any, place: int) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[place]
    low, high = distribution.low, distribution.high
    step = (high - low) / (POINTS - 1) if distribution.step is None else distribution.step
    return min(low + place * step, high)


def _next(walked: list[tuple[int, int]]) -> list[tuple[int, int]] | None:
    """The way to the next combination; None after the last."""
    while walked:
        place, count = walked.pop()
        if place + 1 < count:
            return [*walked, (place + 1, count)]
    return None
