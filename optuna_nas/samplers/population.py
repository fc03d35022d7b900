"""The population of the conditional NSGA-II, kept up from the finished trials of one study."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.pareto import crowding_distance, losses, rank
from optuna_nas.pruners.curve import curve

__all__ = ["Member", "Population", "by_worth"]

_LARGE = 1e300


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A finished trial as selection sees it.

    Args:
        trial: The trial.
        lineage: Number of the first trial of the chain of `continues` that it belongs to.
        genes: Hash of its parameters: equal for equal parameters.
        level: What comes before the objectives, smaller is better: (0, 0) complete, (1, -step)
            pruned at that step, (2, total violation) infeasible.
        losses: Objectives to minimise; a missing or NaN value is infinite.
        free: Number of parameters that have more than one value.
    """

    trial: FrozenTrial
    lineage: int
    genes: frozenset[tuple[str, float]]
    level: tuple[int, float]
    losses: tuple[float, ...]
    free: int


class Population:
    """Steady-state NSGA-II selection (mu + 1) over the finished trials of one study.

    Trials enter one at a time in the order they finished, and whenever there are more than
    `size`, the worst leaves. So the members are a function of the finished trials alone.

    Args:
        size: Most members.
        directions: Directions of the study.

    Source: Deb et al. 2002, doi:10.1109/4235.996017; steady state: Durillo et al. 2009,
    doi:10.1007/978-3-642-01020-0_18.
    """

    def __init__(self, size: int, directions: Sequence[StudyDirection]) -> None:
        self._size = size
        self._directions = directions
        self._trail: list[_Step] = []
        self._unfinished: list[int] = []
        self._seen = 0

    @property
    def members(self) -> Sequence[Member]:
        """The members, best first."""
        return self._trail[-1].members if self._trail else ()

    def update(self, trials: Sequence[FrozenTrial]) -> None:
        """Take in what finished since the last call.

        Args:
            trials: All trials of the study, by number.
        """
        if len(trials) < self._seen:  # the study was deleted and made anew
            self._trail, self._unfinished, self._seen = [], [], 0
        fresh = [trials[number] for number in self._unfinished] + list(trials[self._seen :])
        finished = sorted((t for t in fresh if t.state.is_finished()), key=_finish)
        self._unfinished = [t.number for t in fresh if not t.state.is_finished()]
        self._seen = len(trials)
        if finished:
            for trial in sorted(finished + self._rewind(finished[0]), key=_finish):
                self._trail.append(_Step(trial, self._after(trial, trials)))

    def _rewind(self, trial: FrozenTrial) -> list[FrozenTrial]:
        """Undo what entered before a trial that finished earlier and was seen later."""
        since = bisect_left(self._trail, _finish(trial), key=lambda step: _finish(step.trial))
        undone = [step.trial for step in self._trail[since:]]
        del self._trail[since:]
        return undone

    def _after(self, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Sequence[Member]:
        if not trial.params or trial.state == TrialState.FAIL or "reused_from" in trial.user_attrs:
            return self.members
        member = _member(trial, _lineage(trial, trials), self._directions)
        others = [m for m in self.members if m.lineage != member.lineage]
        others = [m for m in others if m.genes != member.genes or m.level <= member.level]
        if all(m.genes != member.genes for m in others):
            others.append(member)
        return by_worth(others)[: self._size]


@dataclass(frozen=True, slots=True)
class _Step:
    trial: FrozenTrial
    members: Sequence[Member]


def by_worth(members: Sequence[Member]) -> list[Member]:
    """Order members best first: by level, then non-dominated rank, then crowding distance."""
    ordered: list[Member] = []
    for _, group in groupby(sorted(members, key=lambda m: m.level), key=lambda m: m.level):
        equals = list(group)
        ordered += [equals[i] for i in _order(equals)] if len(equals) > 1 else equals
    return ordered


def _order(members: Sequence[Member]) -> Sequence[int]:
    points = np.array([member.losses for member in members])
    ranks = rank(points)
    # Differences of infinite losses are NaN, those of very large ones are not.
    bounded = np.clip(points, -_LARGE, _LARGE)
    crowding = np.zeros(len(points))
    for front in range(ranks.max() + 1):
        chosen = ranks == front
        crowding[chosen] = crowding_distance(bounded[chosen])
    order: list[int] = np.lexsort((-crowding, ranks)).tolist()
    return order


def _member(trial: FrozenTrial, lineage: int, directions: Sequence[StudyDirection]) -> Member:
    level, values = _standing(trial, len(directions))
    signed = losses([values], directions)[0].tolist()
    return Member(
        trial=trial,
        lineage=lineage,
        genes=_genes(trial),
        level=level,
        losses=tuple(math.inf if math.isnan(loss) else loss for loss in signed),
        free=sum(not distribution.single() for distribution in trial.distributions.values()),
    )


def _standing(trial: FrozenTrial, objectives: int) -> tuple[tuple[int, float], Sequence[float]]:
    if trial.state == TrialState.COMPLETE:
        level, values = (0, 0.0), trial.values
    else:
        step, values = max(
            curve(trial, objectives).items(), default=(-math.inf, (math.nan,) * objectives)
        )
        level = (1, -step)
    violation = sum(value for value in trial.constraints.values() if value > 0)
    return ((2, violation) if violation > 0 else level), values


def _lineage(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> int:
    number = trial.number
    before = trial.user_attrs.get("continues")
    while before is not None and 0 <= before < number:
        number, before = before, trials[before].user_attrs.get("continues")
    return number


def _genes(trial: FrozenTrial) -> frozenset[tuple[str, float]]:
    # Internal values are floats in every storage; external ones may be 1 here and 1.0 there.
    internal = {
        name: trial.distributions[name].to_internal_repr(value)
        for name, value in trial.params.items()
    }
    return frozenset(internal.items())


def _finish(trial: FrozenTrial) -> tuple[datetime, int]:
    # A finished trial always has its time; Optuna checks it.
    return trial.datetime_complete or datetime.min, trial.number
