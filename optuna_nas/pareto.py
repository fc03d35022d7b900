"""Dominance and hypervolume, over loss vectors (every objective to be minimised).

A thin door to Optuna's own routines, so that they are named in one place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from optuna._hypervolume import compute_hypervolume
from optuna.study import StudyDirection
from optuna.study._multi_objective import _fast_non_domination_rank, _is_pareto_front

__all__ = ["Losses", "crowding_distance", "hypervolume", "losses", "on_front", "rank"]

Losses = NDArray[np.float64]


def losses(values: Sequence[Sequence[float]], directions: Sequence[StudyDirection]) -> Losses:
    """Turn objective values (N, M) into losses (N, M): maximised objectives change their sign."""
    signs = [-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in directions]
    return np.asarray(values, dtype=float).reshape(-1, len(signs)) * signs


def rank(points: Losses, n_below: int | None = None) -> NDArray[np.int64]:
    """Non-dominated rank of each point, 0 for the front.

    Args:
        points: Losses (N, M).
        n_below: Ranks are exact only for the best `n_below` points, which is faster.

    Source: Deb et al. 2002, doi:10.1109/4235.996017.
    """
    ranks: NDArray[np.int64] = _fast_non_domination_rank(points, n_below=n_below)
    return ranks


def on_front(points: Losses) -> NDArray[np.bool_]:
    """Which of the points (N, M) no other point dominates; equal points are all on the front."""
    mask: NDArray[np.bool_] = _is_pareto_front(points, assume_unique_lexsorted=False)
    return mask


def hypervolume(points: Losses, reference: Sequence[float]) -> float:
    """Volume dominated by the points (N, M) and bounded by the reference point (M,).

    Source: While et al. 2012, doi:10.1109/TEVC.2010.2077298.
    """
    bound = np.asarray(reference, dtype=float)
    inside = points[np.all(points < bound, axis=1)]
    return float(compute_hypervolume(inside, bound)) if len(inside) else 0.0


def crowding_distance(points: Losses) -> NDArray[np.float64]:
    """Crowding distance of each point (N,), infinite at the ends of every objective.

    Source: Deb et al. 2002, doi:10.1109/4235.996017.
    """
    distance = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        low, high = column[order[0]], column[order[-1]]
        if not high > low:
            continue
        distance[order[[0, -1]]] = np.inf
        distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / (high - low)
    return distance
