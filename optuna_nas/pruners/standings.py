"""What the trials of a study have left at the rungs, each network once.

trials in storage -> Standings -> Rung -> is a lineage among its best?

What a trial left at a rung never changes, so each process reads and ranks it once, and a decision
takes as long after ten thousand trials as after a few. A trial that continues another one counts
in place of it.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import optuna
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from optuna_nas.pareto import Losses, losses
from optuna_nas.pruners.layers import Layers, Sorted
from optuna_nas.pruners.lineages import CONTINUES, RUNG, completed_rung, is_among
from optuna_nas.pruners.ranking import ranges, traded

__all__ = ["Bracket", "Rung", "Standings", "rivals"]

Point = tuple[float, ...]

Bracket = Callable[[int], int]
"""Number of a lineage's first trial -> its bracket. Equal ones are one."""


class Rung:
    """The lineages of one bracket that have reached a rung, ranked as they come.

    Args:
        directions: Directions of the study.
        left: First trial of a lineage -> its latest to reach the rung, and the losses then.
    """

    def __init__(
        self,
        directions: Sequence[StudyDirection],
        left: dict[int, tuple[int, Point]] | None = None,
    ) -> None:
        self._directions = directions
        self._left = left or {}
        self._ranges = ranges(self.losses)
        self._ranked: Layers | Sorted | None = None
        self._among = self._ranges  # as they were when all were ranked
        self._new: list[Point] = []  # not ranked yet

    def __len__(self) -> int:
        return len(self._left)

    @property
    def losses(self) -> Losses:
        """The losses of the lineages (N, M)."""
        found = np.array([point for _, point in self._left.values()], dtype=float)
        return found.reshape(-1, len(self._directions))

    def without(self, first: int) -> Rung:
        """The same but for the lineage of a first trial."""
        if first not in self._left:
            return self
        return Rung(self._directions, {n: left for n, left in self._left.items() if n != first})

    def put(self, first: int, number: int, value: Any) -> None:
        """Take in what a trial left here.

        Args:
            first: Number of the first trial of its lineage.
            number: Its own.
            value: As it is stored.
        """
        latest, _ = self._left.get(first, (-1, ()))
        if latest >= number:
            return
        point = self._point(value)
        self._left[first] = number, point
        if latest < 0:
            self._new.append(point)
            self._ranges = np.minimum(self._ranges, ranges(np.array([point])))
        else:
            self._ranges, self._ranked = ranges(self.losses), None

    def has_among_best(self, value: Any, quota: int) -> bool:
        """Whether fewer than `quota` of the lineages come before one beside them.

        They are ordered by non-dominated layer and, within a layer, by the hypervolume that each
        adds to it. Equal ones share a place, and an objective that is the same everywhere plays
        no part.

        Args:
            value: What that one left here, without NaN.
            quota: How many are promoted, at least 1.

        Source: layers, Deb et al. 2002, doi:10.1109/4235.996017; contributions, Beume et al.
            2007, doi:10.1016/j.ejor.2006.08.008.
        """
        mine = np.array([self._point(value)])
        among = np.minimum(self._ranges, ranges(mine))
        if self._ranked is None or (among != self._among).any():
            points = traded(self.losses, among)
            self._ranked = Sorted(points) if points.shape[1] == 1 else Layers(points)
            self._among = among
        else:
            for point in self._new:
                self._ranked.add(tuple(traded(np.array([point]), among)[0].tolist()))
        self._new.clear()
        return self._ranked.has_among_best(tuple(traded(mine, among)[0].tolist()), quota)

    def _point(self, value: Any) -> Point:
        return tuple(losses([value], self._directions)[0].tolist())


class Standings:
    """The rungs of every bracket of a study, as far as they were read.

    Args:
        bracket: Number of a lineage's first trial -> its bracket.
        directions: Directions of the study.
    """

    def __init__(self, bracket: Bracket, directions: Sequence[StudyDirection]) -> None:
        self.lock = threading.Lock()
        self._bracket, self._directions = bracket, directions
        self._rungs: defaultdict[tuple[int, str], Rung] = defaultdict(partial(Rung, directions))
        self._count = 0  # trials read
        self._unfinished: list[int] = []
        self._first: dict[int, int] = {}  # of those that continue another one
        self._last: FrozenTrial | None = None

    def read(self, trials: Sequence[FrozenTrial], own: int) -> None:
        """Take in what was left since, but for what one trial left."""
        if self._last is not None and not is_among(self._last, trials):
            anew = vars(Standings(self._bracket, self._directions))
            vars(self).update(anew | {"lock": self.lock})  # the study was deleted and made anew
        numbers = [*self._unfinished, *range(self._count, len(trials))]
        self._unfinished = []
        for number in numbers:
            trial = trials[number]
            self._count = max(self._count, number + 1)
            if trial.state.is_finished():
                self._last = trial
            else:
                self._unfinished.append(number)
            first = self._link(trial)
            if number != own:
                for key, value in trial.system_attrs.items():
                    if key.startswith(RUNG):
                        self._rungs[self._bracket(first), key].put(first, number, value)

    def rivals(self, number: int, key: str) -> Rung:
        """The other lineages of a trial's bracket that have reached a rung."""
        first = self._first.get(number, number)
        return self._rungs[self._bracket(first), key].without(first)

    def _link(self, trial: FrozenTrial) -> int:
        """The first trial of a trial's lineage."""
        earlier = trial.user_attrs.get(CONTINUES, trial.number)
        if 0 <= earlier < trial.number:
            self._first[trial.number] = self._first.get(earlier, earlier)
        return self._first.get(trial.number, trial.number)


@contextmanager
def rivals(study: optuna.Study, trial: FrozenTrial, rung: int, bracket: Bracket) -> Iterator[Rung]:
    """The other lineages of a trial's bracket that have reached a rung, for as long as it runs.

    Args:
        study: The study of the trial.
        trial: The running trial that they are rivals of.
        rung: Number of the rung.
        bracket: Number of a lineage's first trial -> its bracket.
    """
    with _LOCK:
        known = _READ.setdefault(study._storage, {})
        place = study._study_id, bracket
        standings = known.setdefault(place, Standings(bracket, study.directions))
    with standings.lock:  # other threads must neither add to a rung nor rank it meanwhile
        standings.read(_by_number(study), trial.number)
        yield standings.rivals(trial.number, completed_rung(rung))


def _by_number(study: optuna.Study) -> Sequence[FrozenTrial]:
    storage = study._storage
    if type(storage) is InMemoryStorage:  # to copy the list takes longer than all the rest
        return storage._studies[study._study_id].trials
    return study.get_trials(deepcopy=False)


_LOCK = threading.Lock()
_READ: WeakKeyDictionary[BaseStorage, dict[tuple[int, Bracket], Standings]] = WeakKeyDictionary()
