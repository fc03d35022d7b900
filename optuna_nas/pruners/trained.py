"""Learning curves of complete trials, on common steps: each trial is read once a process."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.pareto import Losses, losses
from optuna_nas.pruners.lineages import Lineages, is_among

__all__ = ["Curve", "Trained", "as_losses", "read"]

Floats = NDArray[np.float64]
Curve = tuple[Floats, Losses]
"""Steps, rising (t,), and losses of the objectives (t, M), all finite."""


@dataclass(frozen=True)
class Trained:
    """Networks with a complete trial.

    Args:
        steps: Steps, rising (T,).
        losses: Their curves, drawn straight between reports and level beyond (N, T, M).
        lengths: Their last steps (N,).
        allowed: Whether each keeps its constraints (N,).
        roots: First trial of each (N,).
    """

    steps: Floats
    losses: Losses
    lengths: Floats
    allowed: NDArray[np.bool_]
    roots: NDArray[np.int64]

    def without(self, root: int) -> Trained:
        """All but one."""
        if root not in self.roots:
            return self
        other = self.roots != root
        kept = (self.losses[other], self.lengths[other], self.allowed[other], self.roots[other])
        return Trained(self.steps, *kept)

    def on(self, steps: Floats) -> Trained:
        """The same on further steps as well."""
        if np.isin(steps, self.steps).all():
            return self
        more = np.union1d(self.steps, steps)
        drawn = [_drawn((self.steps, curve), more) for curve in self.losses]
        return Trained(more, np.stack(drawn), self.lengths, self.allowed, self.roots)


def read(study: optuna.Study, lineages: Lineages) -> Trained:
    """The networks of a study that have a complete trial with finite reports, each once.

    Args:
        study: The study.
        lineages: Its trials.
    """
    with _LOCK:
        known = _READ.setdefault(study._storage, {})
        if study._study_id not in known or not known[study._study_id].is_of(lineages.trials):
            known[study._study_id] = _Reader(study.directions)
        return known[study._study_id].read(lineages)


def as_losses(curve: Mapping[int, Sequence[float]], directions: Sequence[StudyDirection]) -> Curve:
    """What is finite of a curve."""
    signed = losses(list(curve.values()), directions)
    finite = np.isfinite(signed).all(axis=1)
    return np.array(list(curve), dtype=float)[finite], signed[finite]


class _Reader:
    """What was read of one study."""

    def __init__(self, directions: Sequence[StudyDirection]) -> None:
        self._directions = directions
        self._seen: dict[int, FrozenTrial] = {}
        self._curves: dict[int, tuple[int, Curve, bool]] = {}
        self._on_steps: dict[int, Losses] = {}
        self._trained = Trained(
            np.empty(0),
            np.empty((0, 0, len(directions))),
            np.empty(0),
            np.empty(0, dtype=bool),
            np.empty(0, dtype=np.int64),
        )

    def is_of(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether these are the trials read before."""
        first = next(iter(self._seen.values()), None)
        return first is None or is_among(first, trials)

    def read(self, lineages: Lineages) -> Trained:
        """Take in the trials that were complete since."""
        complete = [trial for trial in lineages.trials if trial.state == TrialState.COMPLETE]
        fresh = [trial for trial in complete if trial.number not in self._seen]
        for trial in fresh:
            self._seen[trial.number] = trial
            curve = as_losses(lineages.curve(trial), self._directions)
            if len(curve[0]):
                root = lineages.root(trial)
                allowed = max(trial.constraints.values(), default=0.0) <= 0
                self._curves[root] = max(
                    (trial.number, curve, allowed),
                    self._curves.get(root, (-1, curve, allowed)),
                    key=lambda found: found[0],
                )
                self._on_steps.pop(root, None)
        if fresh and self._curves:
            self._trained = self._together()
        return self._trained

    def _together(self) -> Trained:
        # By number, not as they were completed: another process adds up in the same order.
        self._curves = dict(sorted(self._curves.items()))
        curves = [curve for _, curve, _ in self._curves.values()]
        steps = np.unique(np.concatenate([own for own, _ in curves]))
        if len(steps) != len(self._trained.steps):
            self._on_steps.clear()
        for root, curve in zip(self._curves, curves, strict=True):
            if root not in self._on_steps:
                self._on_steps[root] = _drawn(curve, steps)
        return Trained(
            steps,
            np.stack([self._on_steps[root] for root in self._curves]),
            np.array([own[-1] for own, _ in curves]),
            np.array([allowed for _, _, allowed in self._curves.values()]),
            np.array(list(self._curves)),
        )


def _drawn(curve: Curve, steps: Floats) -> Losses:
    own, values = curve
    return np.stack([np.interp(steps, own, column) for column in values.T], axis=1)


_LOCK = threading.Lock()
_READ: WeakKeyDictionary[BaseStorage, dict[int, _Reader]] = WeakKeyDictionary()
