"""What the trials of a study have left at the rungs, each network once.

A trial that continues another one (user attribute `continues`) belongs to its lineage, which
counts once at every rung, with the value of its latest trial. Finished trials never change, so
each process reads them once.
"""

from __future__ import annotations

import threading
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from optuna_nas.pruners.curve import curve

__all__ = ["Lineages", "completed_rung", "is_among"]

CONTINUES = "continues"
RUNG = "completed_rung_"


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

    def rivals(self, trial: FrozenTrial, rung: int, competes: Callable[[int], bool]) -> list[Any]:
        """What the other lineages that compete have stored at a rung, each once.

        Args:
            trial: The trial that they are rivals of.
            rung: Number of the rung.
            competes: Whether a lineage, named by its first trial, is in the same bracket.
        """
        key = completed_rung(rung)
        finished, running = self._finished, self._open
        with _LOCK:  # another thread may be adding to what is finished
            stored = {**finished.rungs.get(key, {}), **running.rungs.get(key, {})}
        if self._continues:
            stored = {self._first(number): value for number, value in stored.items()}
        stored.pop(self.root(trial), None)
        return [value for first, value in stored.items() if competes(first)]

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
        while (earlier := self._continues.get(number, number)) < number:
            number = earlier
        return number


def is_among(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> bool:
    """Whether a trial that was read before is one of these; a deleted study's id comes again."""
    there = trials[trial.number] if trial.number < len(trials) else None
    return there is not None and there.datetime_start == trial.datetime_start


class _Left:
    """What trials left: number -> continued trial, and key of a rung -> number -> value."""

    def __init__(self, trials: Iterable[FrozenTrial] = ()) -> None:
        self.continues: dict[int, int] = {}
        self.rungs: dict[str, dict[int, Any]] = {}
        for trial in trials:
            self.add(trial)

    def add(self, trial: FrozenTrial) -> None:
        """Take in what one trial left."""
        number = trial.number
        if CONTINUES in trial.user_attrs:
            self.continues[number] = trial.user_attrs[CONTINUES]
        for key, value in trial.system_attrs.items():
            if key.startswith(RUNG):
                self.rungs.setdefault(key, {})[number] = value


class _Finished(_Left):
    """What the leading trials of a study left, up to the first that is not finished."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._last: FrozenTrial | None = None

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
