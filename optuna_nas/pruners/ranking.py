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
    adds to those chosen before it. Equal points share a place.

    Args:
        points: Losses (N, M), without NaN.
        quota: How many are promoted.
    """
    mine = points[0]
    no_worse = (points <= mine).all(axis=1)
    equal = (points == mine).all(axis=1)
    if np.count_nonzero(no_worse & ~equal) >= quota:
        return False  # as many dominate it as are promoted
    beaten = (points >= mine).all(axis=1) & ~equal
    if len(points) - np.count_nonzero(beaten | equal) < quota:
        return True
    contenders = points[~beaten]  # what it dominates changes no layer up to its own
    layers = rank(contenders, n_below=quota)
    free = quota - np.count_nonzero(layers < layers[0])
    layer = layers == layers[0]
    if free <= 0 or np.count_nonzero(layer) <= free:
        return bool(free > 0)
    return _chosen_first(_scaled(contenders, points)[layer], free)


def _scaled(points: Losses, everyone: Losses) -> Losses:
    """Losses scaled to 0 for the best and 1 for the worst finite value of everyone."""
    finite = np.where(np.isfinite(everyone), everyone, np.nan)
    low, high = np.nanmin(finite, axis=0), np.nanmax(finite, axis=0)
    width = np.where(high > low, high - low, 1.0)
    return np.asarray(np.clip((points - low) / width, 0.0, 1.0))


def _chosen_first(layer: Losses, free: int) -> bool:
    """Whether the first point of a layer is among the `free` that keep most hypervolume."""
    unique, place, count = np.unique(layer, axis=0, return_inverse=True, return_counts=True)
    if len(unique) == 1:
        return True
    size = min(free, len(unique) - 1)
    order = _solve_hssp(unique, np.arange(len(unique)), size, np.ones(layer.shape[1]))
    before: NDArray[np.int64] = np.cumsum(count[order]) - count[order]
    return bool(place.reshape(-1)[0] in order[before < free])
