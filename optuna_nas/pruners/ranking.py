"""Is one loss vector among the best k: by non-dominated layer, then by spread within the layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from optuna._hypervolume.hssp import _solve_hssp

from optuna_nas.pareto import Losses, rank

__all__ = ["first_among_best"]


def first_among_best(points: Losses, quota: int) -> bool:
    """Whether fewer than `quota` of the points come before the first one.

    Points are ordered by non-dominated layer and, within a layer, by the hypervolume that each
    adds to those taken before it. The reference point is the worst finite value of each objective
    among all points: what is useless by one objective adds next to nothing, however cheap it is,
    and comes last in its layer. Equal points share a place.

    Args:
        points: Losses (N, M), without NaN.
        quota: How many are promoted, at least 1.

    Source: greedy hypervolume subset selection, Guerreiro et al. 2016, doi:10.1162/EVCO_a_00188.
    """
    mine = points[0]
    equal = (points == mine).all(axis=1)
    if np.count_nonzero((points <= mine).all(axis=1) & ~equal) >= quota:
        return False  # as many dominate it as are promoted
    beaten = (points >= mine).all(axis=1) & ~equal
    if np.count_nonzero(~beaten & ~equal) < quota:
        return True
    contenders = points[~beaten]  # what it dominates changes no layer up to its own
    layers = rank(contenders, n_below=quota)
    layer = contenders[layers == layers[0]]
    free = quota - int(np.count_nonzero(layers < layers[0]))
    if free <= 0 or len(layer) <= free:
        return free > 0
    return _taken(_scaled(layer, points), free)


def _scaled(layer: Losses, everyone: Losses) -> Losses:
    """Losses from 0, the best finite value of everyone, to 1, the worst."""
    finite = np.isfinite(everyone)
    low = np.min(everyone, axis=0, where=finite, initial=np.inf)
    high = np.max(everyone, axis=0, where=finite, initial=-np.inf)
    width = np.where(high > low, high - low, 1.0)
    with np.errstate(invalid="ignore"):  # an objective that is infinite everywhere
        scaled: Losses = np.nan_to_num((layer - low) / width, nan=0.0, posinf=1.0, neginf=0.0)
    return scaled


def _taken(layer: Losses, free: int) -> bool:
    """Whether the first point of a layer, scaled, is among the `free` that are taken first."""
    unique, place, count = np.unique(layer, axis=0, return_inverse=True, return_counts=True)
    mine = int(place.reshape(-1)[0])
    if len(unique) == 1:
        return True
    if layer.shape[1] == 2:
        return _before(unique, count, mine) < free
    size = min(free, len(unique) - 1)
    order = _solve_hssp(unique, np.arange(len(unique)), size, np.ones(layer.shape[1]))
    return bool(mine in order[np.cumsum(count[order]) - count[order] < free])


Stretch = tuple[int, int, float, float]
"""Points `start` to `stop` between two taken ones, and the corner of what they can add."""


def _before(front: Losses, count: NDArray[np.int64], mine: int) -> int:
    """How many points greedy selection takes before `mine`, of a sorted front (N, 2).

    A point that is taken cuts its stretch of the front into two which no longer touch, so only
    the stretch of `mine` is followed in order; in the others, what gains more is counted.
    """

    def best_of(stretch: Stretch) -> tuple[float, int]:
        start, stop, right, top = stretch
        gains = (right - front[start:stop, 0]) * (top - front[start:stop, 1])
        best = int(np.argmax(gains))
        return float(gains[best]), start + best

    def cut(stretch: Stretch, at: int) -> tuple[Stretch, Stretch]:
        start, stop, right, top = stretch
        x, y = front[at]
        return (start, at, x, top), (at + 1, stop, right, y)

    before, others, stretch = 0, [], (0, len(front), 1.0, 1.0)
    while (taken := best_of(stretch))[1] != mine:
        before += count[taken[1]]
        left, right = cut(stretch, taken[1])
        stretch, other = (left, right) if mine < taken[1] else (right, left)
        others.append(other)
    while others:
        other = others.pop()
        if other[0] == other[1]:
            continue
        gain, best = best_of(other)
        if (gain, -best) > (taken[0], -mine):
            before += count[best]
            others.extend(cut(other, best))
    return int(before)
