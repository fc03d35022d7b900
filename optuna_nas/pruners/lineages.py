"""What the trials of a study have left at the rungs, each network once.

A trial that continues another one (user attribute `continues`) belongs to its lineage, which
counts once at every rung, with the value of its latest trial. Finished trials never change, so
each process reads them once.
"""

from __future__ import annotations

import threading
from collections import ChainMap, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import optuna
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from optuna_nas.pareto import Losses, losses
from optuna_nas.pruners.curve import curve

__all__ = ["Bracket", "Lineages", "completed_rung", "is_among"]

CONTINUES = "continues"
RUNG = "completed_rung_"

Bracket = Callable[[int], int]
"""Number of a lineage's first trial -> its bracket. Equal ones are one."""


def completed_rung(rung: int) -> str:
    """Key of the system attribute that holds a trial's value at a rung, as Optuna names it."""
    return f"{RUNG}{rung}"


class Lineages:
    """The trials of a study, and which of them are one network taken up again.

    They are read once a decision, and only where one is due.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study

    def root(self, trial: FrozenTrial) -> int:
        """Number of the first trial of a trial's lineage."""
        return self._first(trial.number) if CONTINUES in trial.user_attrs else trial.number

    def earlier(self, trial: FrozenTrial) -> FrozenTrial | None:
        """The trial that a trial continues, if it does."""
        number = trial.user_attrs.get(CONTINUES, trial.number)
        return self.trials[number] if 0 <= number < trial.number else None

    def inherited(self, trial: FrozenTrial) -> Mapping[str, Any]:
        """System attributes of a trial on top of those of the trials that it continues."""
        earlier = self.earlier(trial)
        if earlier is None:
            return trial.system_attrs
        return ChainMap(dict(trial.system_attrs), dict(self.inherited(earlier)))

    def curve(self, trial: FrozenTrial) -> dict[int, tuple[float, ...]]:
        """What a network reported up to a trial: step -> values of the latest to report it."""
        reported = curve(trial, len(self._study.directions))
        earlier = self.earlier(trial)
        if earlier is None:
            return reported
        return dict(sorted((self.curve(earlier) | reported).items()))

    def rivals(self, trial: FrozenTrial, rung: int, bracket: Bracket) -> Losses:
        """Losses that the other lineages of a trial's bracket have left at a rung (N, M).

        Args:
            trial: The trial that they are rivals of.
            rung: Number of the rung.
            bracket: Number of a lineage's first trial -> its bracket.
        """
        key, own = completed_rung(rung), self.root(trial)
        latest = {self._first(number): value for number, value in self._open.rungs.get(key, ())}
        running = {
            first: value
            for first, value in latest.items()
            if first != own and bracket(first) == bracket(own)
        }
        finished, directions = self._finished, self._study.directions
        with _LOCK:  # another thread may be adding to what is finished
            before = finished.of_brackets(key, bracket, directions)[bracket(own)]
            ended = before.without({own, *running})
        return np.vstack((ended, losses(list(running.values()), directions)))

    @cached_property
    def trials(self) -> list[FrozenTrial]:
        """Every trial of the study, as it is now."""
        return self._study.get_trials(deepcopy=False)

    @cached_property
    def _finished(self) -> _Finished:
        return _finished(self._study, self.trials)

    @cached_property
    def _open(self) -> _Left:
        return _Left(self.trials[self._finished.count :])

    @cached_property
    def _continues(self) -> dict[int, int]:
        finished, running = self._finished, self._open
        with _LOCK:
            return {**finished.continues, **running.continues}

    def _first(self, number: int) -> int:
        return _first(number, self._continues)


def is_among(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> bool:
    """Whether a trial that was read before is one of these; a deleted study's id comes again."""
    there = trials[trial.number] if trial.number < len(trials) else None
    return there is not None and there.datetime_start == trial.datetime_start


def _first(number: int, continues: Mapping[int, int]) -> int:
    while (earlier := continues.get(number, number)) < number:
        number = earlier
    return number


class _Left:
    """What trials left: number -> continued trial, and key of a rung -> numbers and values."""

    def __init__(self, trials: Iterable[FrozenTrial] = ()) -> None:
        self.continues: dict[int, int] = {}
        self.rungs: dict[str, list[tuple[int, Any]]] = {}
        for trial in trials:
            self.add(trial)

    def add(self, trial: FrozenTrial) -> None:
        """Take in what one trial left."""
        number = trial.number
        if CONTINUES in trial.user_attrs:
            self.continues[number] = trial.user_attrs[CONTINUES]
        for key, value in trial.system_attrs.items():
            if key.startswith(RUNG):
                self.rungs.setdefault(key, []).append((number, value))


class _Table:
    """Losses of lineages at a rung, a row for each, which grow and change."""

    def __init__(self, objectives: int) -> None:
        self._losses = np.empty((64, objectives))
        self._places: dict[int, int] = {}

    def put(self, first: int, values: Losses) -> None:
        """Put the losses of a lineage in the place of those that it had."""
        place = self._places.setdefault(first, len(self._places))
        if place == len(self._losses):
            self._losses = np.vstack((self._losses, np.empty_like(self._losses)))
        self._losses[place] = values

    def without(self, some: Iterable[int]) -> Losses:
        """The losses of all lineages but some."""
        left_out = [self._places[first] for first in some if first in self._places]
        return np.delete(self._losses[: len(self._places)], left_out, axis=0)


class _Finished(_Left):
    """What the leading trials of a study left, up to the first that is not finished."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._last: FrozenTrial | None = None
        self._read: dict[tuple[str, Bracket], int] = {}
        self._tables: dict[tuple[str, Bracket], defaultdict[int, _Table]] = {}

    def of_brackets(
        self, key: str, bracket: Bracket, directions: Sequence[StudyDirection]
    ) -> Mapping[int, _Table]:
        """Bracket -> losses of its lineages at a rung; only what is new is read."""
        at, empty = (key, bracket), partial(_Table, len(directions))
        tables = self._tables.setdefault(at, defaultdict(empty))
        left = self.rungs.get(key, [])
        new = left[self._read.get(at, 0) :]
        self._read[at] = len(left)
        for (number, _), values in zip(new, losses([v for _, v in new], directions), strict=True):
            first = _first(number, self.continues)
            tables[bracket(first)].put(first, values)
        return tables

    def is_of(self, trials: list[FrozenTrial]) -> bool:
        """Whether these are the trials read before."""
        return self._last is None or is_among(self._last, trials)

    def extend(self, trials: list[FrozenTrial]) -> None:
        """Take in the trials that were finished since."""
        while self.count < len(trials) and trials[self.count].state.is_finished():
            self._last = trials[self.count]
            self.add(self._last)
            self.count += 1


_LOCK = threading.Lock()
_READ: WeakKeyDictionary[BaseStorage, dict[int, _Finished]] = WeakKeyDictionary()


def _finished(study: optuna.Study, trials: list[FrozenTrial]) -> _Finished:
    with _LOCK:
        known = _READ.setdefault(study._storage, {})
        if study._study_id not in known or not known[study._study_id].is_of(trials):
            known[study._study_id] = _Finished()
        known[study._study_id].extend(trials)
        return known[study._study_id]
