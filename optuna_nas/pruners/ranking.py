"""Is one loss vector among the best k: by non-dominated layer, then by spread within the layer."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from optuna_nas.pareto import Losses, hypervolume, rank

__all__ = ["contributions", "first_among_best", "layers_2d", "traded"]

REFERENCE = 1.1
"""Reference point of the hypervolume where 0 is the best and 1 the worst of all points."""

TRADE = 0.1
"""How much of the range of one objective may be given up for the whole range of another."""


def first_among_best(points: Losses, quota: int) -> bool:
    """Whether fewer than `quota` of the points come before the first one.

    Points are ordered by non-dominated layer and, within a layer, by the hypervolume that each
    adds to it. A point dominates another also where it is a little worse by one objective and
    better by at least ten times as much by another (`TRADE`, of the range that each objective has
    among all points): what is useless is not saved by being the very cheapest. Equal points share
    a place, and an objective that is the same everywhere plays no part.

    Args:
        points: Losses (N, M), without NaN.
        quota: How many are promoted, at least 1.

    Source: layers, Deb et al. 2002, doi:10.1109/4235.996017; trade-offs in dominance, Ikeda, Kita
        and Kobayashi 2001, doi:10.1109/CEC.2001.934293 (alpha-domination); contributions, Beume
        et al. 2007, doi:10.1016/j.ejor.2006.08.008.
    """
    points = traded(points)
    mine = points[0]
    equal = (points == mine).all(axis=1)
    if np.count_nonzero((points <= mine).all(axis=1) & ~equal) >= quota:
        return False  # as many dominate it as are promoted
    beaten = (points >= mine).all(axis=1) & ~equal
    if np.count_nonzero(~beaten & ~equal) < quota:
        return True
    contenders = points[~beaten]  # what it dominates changes no layer up to its own
    layers = layers_2d(contenders) if points.shape[1] == 2 else rank(contenders, n_below=quota)
    layer = contenders[layers == layers[0]]
    free = quota - int(np.count_nonzero(layers < layers[0]))
    if free <= 0 or len(layer) <= free:
        return free > 0
    return _before_first(_scaled(layer, points)) < free


def layers_2d(points: Losses) -> NDArray[np.int64]:
    """Non-dominated rank of each of many points (N, 2), as `pareto.rank` but faster.

    Source: patience sorting, Jensen 2003, doi:10.1109/TEVC.2003.817234.
    """
    order = np.lexsort((points[:, 1], points[:, 0]))
    ordered = points[order]
    fresh = np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1))
    lowest: list[float] = []  # second loss of the last point of each layer
    found = []
    for value in ordered[fresh, 1].tolist():
        found.append(layer := bisect_right(lowest, value))
        lowest[layer : layer + 1] = [value]
    layers = np.empty(len(points), dtype=np.int64)
    layers[order] = np.asarray(found)[np.cumsum(fresh) - 1]
    return layers


def contributions(front: Losses) -> NDArray[np.float64]:
    """Hypervolume that each point of a front (N, M) alone dominates.

    Args:
        front: Losses between 0 and 1, sorted, no two equal.
    """
    if front.shape[1] == 2:
        width = np.append(front[1:, 0], REFERENCE) - front[:, 0]
        height = np.append(REFERENCE, front[:-1, 1]) - front[:, 1]
        return np.asarray(width * height)
    reference = np.full(front.shape[1], REFERENCE)
    own = np.prod(reference - front, axis=1)
    shared = [
        hypervolume(np.maximum(np.delete(front, i, axis=0), point), reference.tolist())
        for i, point in enumerate(front)
    ]
    return np.asarray(own - shared)


def _before_first(layer: Losses) -> int:
    """How many points of a scaled layer add more to it than the first one."""
    unique, place, count = np.unique(layer, axis=0, return_inverse=True, return_counts=True)
    added = contributions(unique)
    return int(count[added > added[place.reshape(-1)[0]]].sum())


def traded(points: Losses, everyone: Losses | None = None) -> Losses:
    """Losses whose plain dominance has the trade-offs; constant objectives are left out.

    Args:
        points: Losses (N, M).
        everyone: Losses that say how wide each objective ranges (K, M); the points by default.
    """
    everyone = points if everyone is None else everyone
    varies = (everyone != everyone[0]).any(axis=0)
    varying = points[:, varies]
    if varying.shape[1] < 2:
        return varying if varying.shape[1] else points
    scaled = _scaled(varying, everyone[:, varies])
    traded: Losses = (1 - TRADE) * scaled + TRADE * scaled.sum(axis=1, keepdims=True)
    return traded


def _scaled(layer: Losses, everyone: Losses) -> Losses:
    """Losses from 0, the best finite value of everyone, to 1, the worst; infinite ones beyond."""
    finite = np.isfinite(everyone)
    low = np.min(everyone, axis=0, where=finite, initial=np.inf)
    high = np.max(everyone, axis=0, where=finite, initial=-np.inf)
    width = np.where(high > low, high - low, 1.0)
    with np.errstate(invalid="ignore"):  # an objective that is infinite everywhere
        scaled = (layer - low) / width
    found: Losses = np.nan_to_num(scaled, nan=0.0, posinf=REFERENCE, neginf=1 - REFERENCE)
    return found
