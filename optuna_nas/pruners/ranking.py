"""Is one loss vector among the best k: by non-dominated layer, then by spread within the layer."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from optuna_nas.pareto import Losses, hypervolume

__all__ = ["before_first", "contributions", "layers_2d", "ranges", "traded"]

REFERENCE = 1.1
"""Reference point of the hypervolume where 0 is the best and 1 the worst of all points."""

TRADE = 0.1
"""How much of the range of one objective may be given up for the whole range of another."""


def ranges(points: Losses) -> Losses:
    """How wide each objective ranges among points (N, M), as (4, M).

    The least, and the greatest with its sign changed; then the same of what is finite. The
    ranges of two sets of points together are the lesser of each.
    """
    finite = np.isfinite(points)
    signed = points, -points
    every = [np.min(some, axis=0, initial=np.inf) for some in signed]
    some = [np.min(some, axis=0, initial=np.inf, where=finite) for some in signed]
    return np.stack([*every, *some])


def traded(points: Losses, among: Losses) -> Losses:
    """Losses whose plain dominance has the trade-offs; constant objectives are left out.

    A point dominates another also where it is a little worse by one objective and better by at
    least ten times as much by another (`TRADE`, of the range that each objective has): what is
    useless is not saved by being the very cheapest.

    Args:
        points: Losses (N, M).
        among: The ranges of the points that they are compared with.

    Source: trade-offs in dominance, Ikeda, Kita and Kobayashi 2001, doi:10.1109/CEC.2001.934293
        (alpha-domination).
    """
    varies = among[0] < -among[1]
    varying = points[:, varies]
    if varying.shape[1] < 2:
        return varying if varying.shape[1] else points
    scaled = _scaled(varying, among[:, varies])
    traded: Losses = (1 - TRADE) * scaled + TRADE * scaled.sum(axis=1, keepdims=True)
    return traded


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


def before_first(layer: Losses, among: Losses) -> int:
    """How many points of a layer (N, M) add more hypervolume to it than the first one.

    Args:
        layer: Points of which none dominates another.
        among: The ranges of all points, of this layer and the others.

    Source: Beume et al. 2007, doi:10.1016/j.ejor.2006.08.008.
    """
    scaled = _scaled(layer, among)
    unique, place, count = np.unique(scaled, axis=0, return_inverse=True, return_counts=True)
    added = contributions(unique)
    return int(count[added > added[place.reshape(-1)[0]]].sum())


def _scaled(points: Losses, among: Losses) -> Losses:
    """Losses from 0, the best finite value there is, to 1, the worst; infinite ones beyond."""
    low, high = among[2], -among[3]
    width = np.where(high > low, high - low, 1.0)
    with np.errstate(invalid="ignore"):  # an objective that is infinite everywhere
        scaled = (points - low) / width
    found: Losses = np.nan_to_num(scaled, nan=0.0, posinf=REFERENCE, neginf=1 - REFERENCE)
    return found
