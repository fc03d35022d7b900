"""Counts, cost and front of a study that is still running, one trial at a time."""

from __future__ import annotations

from collections import Counter

import optuna
from optuna.trial import FrozenTrial

from optuna_nas import pareto
from optuna_nas.reporting.archive import FIRST, Archive, reference_point
from optuna_nas.study.record import Record, objective_names, read, records

__all__ = ["Tally", "point"]


class Tally:
    """A study so far; storage is read once, and again when trials of others are missing.

    Args:
        study: The study, whose finished trials count from the start.
    """

    counts: Counter[str]
    """Trials by outcome; a trial taken up again counts by its last outcome."""
    epochs: int
    """Epochs trained."""
    points: list[tuple[float, float]]
    """Of each complete trial the second objective, or with one its number, and the first."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self.names = objective_names(study)
        self._load()

    def add(self, trial: FrozenTrial) -> Record:
        """Count a trial that has just finished."""
        record = read(trial, self.names, False)
        if record.number in self._known:
            return record
        # Other workers finish trials too: read them whenever the study has grown by a tenth.
        if record.continues is not None or record.number > 1.1 * len(self._known) + 10:
            self._load()
        else:
            self._count(record)
        return record

    def front(self) -> list[Record]:
        """The front so far, sorted by the first objective, best first."""
        return self._archive.front()

    def hypervolume(self) -> float:
        """Hypervolume of the front so far, as in `hypervolume_history`."""
        reference = reference_point(loss for _, loss in self._first)
        return self._archive.hypervolume(reference) if reference else 0.0

    def _load(self) -> None:
        self.counts, self.epochs, self.points = Counter(), 0, []
        self._known: set[int] = set()
        self._first: list[tuple[int, pareto.Losses]] = []
        self._archive = Archive(self._study.directions)
        for record in records(self._study):
            if record.finished:
                self._count(record)

    def _count(self, record: Record) -> None:
        self._known.add(record.number)
        self.epochs += record.epochs
        self.counts[record.outcome] += not record.superseded
        if record.values:
            loss = self._archive.loss(record)
            self._first = sorted([*self._first, (record.number, loss)], key=lambda f: f[0])[:FIRST]
            self.points.append(point(record))
        if record.values and record.feasible and not record.superseded:
            self._archive.add(record)


def point(record: Record) -> tuple[float, float]:
    """Where a complete trial is in a plot of the first two objectives."""
    first, second, *_ = (*record.values.values(), float(record.number))
    return second, first
