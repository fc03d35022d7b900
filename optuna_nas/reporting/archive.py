"""The non-dominated trials so far, one trial at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.study import StudyDirection

from optuna_nas import pareto
from optuna_nas.study.record import Record

__all__ = ["Archive", "reference_point"]

FIRST = 10
"""Complete trials, by number, whose worst values are the reference point of the hypervolume."""


class Archive:
    """Complete, feasible trials that no other one dominates.

    Adding a trial costs time proportional to the size of the front, not of the study.

    Args:
        directions: Direction of each objective.
    """

    def __init__(self, directions: Sequence[StudyDirection]) -> None:
        self._directions = directions
        self._members: list[Record] = []
        self._points: pareto.Losses = np.empty((0, len(directions)))

    def loss(self, record: Record) -> pareto.Losses:
        """Values of a complete trial as a loss vector (M,)."""
        vector: pareto.Losses = pareto.losses([[*record.values.values()]], self._directions)[0]
        return vector

    def add(self, record: Record) -> bool:
        """Take in a complete trial; whether it is on the front now."""
        point = self.loss(record)
        below = (self._points <= point).all(axis=1)
        above = (self._points >= point).all(axis=1)
        if (below & ~above).any():
            return False
        kept: NDArray[np.bool_] = np.logical_not(above & ~below)
        self._members = [m for m, keep in zip(self._members, kept, strict=True) if keep] + [record]
        self._points = np.vstack([self._points[kept], point])
        return True

    def front(self) -> list[Record]:
        """One trial of each network and recipe, sorted by the first objective, best first.

        Of several trials of one network by one recipe, a trained one is kept rather than a reused
        one, then the better in the first objective, then the earlier.
        """
        rows = sorted(zip(self._points.tolist(), self._members, strict=True), key=_best_first)
        chosen: dict[tuple[str, str] | int, Record] = {}
        for _, record in sorted(rows, key=lambda row: row[1].outcome == "reused"):
            chosen.setdefault(_identity(record), record)
        return [record for _, record in rows if chosen[_identity(record)] is record]

    def hypervolume(self, reference: Sequence[float]) -> float:
        """Volume between the non-dominated trials and a reference point of losses (M,).

        Of several such trials of one network all count here, so that it never shrinks; those with
        an infinite value do not.
        """
        finite = self._points[np.isfinite(self._points).all(axis=1)]
        return pareto.hypervolume(finite, reference)


def reference_point(losses: Iterable[pareto.Losses]) -> list[float]:
    """Worst loss of each objective among the finite ones of the first ten trials; (M,)."""
    first = np.array([point for point in losses if np.isfinite(point).all()][:FIRST])
    return [float(worst) for worst in first.max(axis=0)] if len(first) else []


def _identity(record: Record) -> tuple[str, str] | int:
    """Equal for trials of one network, trained by one recipe."""
    recipe = json.dumps(dict(record.hyperparameters), sort_keys=True)
    return (record.digest, recipe) if record.digest else record.number


def _best_first(row: tuple[list[float], Record]) -> tuple[list[float], int]:
    return row[0], row[1].number
