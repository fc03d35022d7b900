"""How much hypervolume a point would add to a front."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, qmc

from optuna_nas.pareto import Losses

__all__ = ["improvement"]

DIRECTIONS = 512


def improvement(front: Losses, points: Losses, reference: NDArray[np.float64]) -> Losses:
    """Hypervolume that each point alone would add to a front.

    Exact for one and two objectives. For more it is the mean over 512 fixed directions of what
    the point adds along each (hypervolume scalarisation), in the same unit.

    Args:
        front: Losses of the points there are (N, M); dominated ones do not matter.
        points: Losses of the points to judge (K, M).
        reference: Losses beyond which nothing counts (M,).

    Returns:
        Hypervolume of each point (K,), 0 for those that are dominated or beyond the reference.

    Source: Zhang and Golovin 2020, arXiv:2006.04655 (scalarisation).
    """
    front = front[np.all(front < reference, axis=1)]
    if len(reference) == 1:
        best = np.minimum(front.min(initial=math.inf), reference[0])
        gained: Losses = np.maximum(best - points[:, 0], 0.0)
        return gained
    if len(reference) == 2:
        return _exact(front, points, reference)
    directions = _directions(len(reference))
    reached = _along(front, reference, directions).max(axis=0, initial=0.0)
    along = np.maximum(_along(points, reference, directions) - reached, 0.0).mean(axis=1)
    objectives = len(reference)
    ball = math.pi ** (objectives / 2) / (2**objectives * math.gamma(objectives / 2 + 1))
    volumes: Losses = ball * along
    return volumes


def _exact(front: Losses, points: Losses, reference: NDArray[np.float64]) -> Losses:
    """Cut the plane at the front's values of the second objective, and add up the slices."""
    front = front[np.argsort(front[:, 1], kind="stable")]
    edges = np.concatenate(([-math.inf], front[:, 1], reference[1:]))
    heights = np.minimum.accumulate(np.concatenate((reference[:1], front[:, 0])))
    inside = np.minimum(edges[1:], reference[1]) - np.maximum(edges[:-1], points[:, 1:])
    volumes: Losses = (inside.clip(0.0) * (heights - points[:, :1]).clip(0.0)).sum(axis=1)
    return volumes


def _directions(objectives: int) -> Losses:
    """Unit vectors (512, M), even over the positive part of the sphere."""
    drawn = qmc.Sobol(objectives, seed=0).random(DIRECTIONS)
    rays = np.abs(norm.ppf(np.clip(drawn, 1e-6, 1 - 1e-6))) + 1e-9
    unit: Losses = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    return unit


def _along(points: Losses, reference: NDArray[np.float64], directions: Losses) -> Losses:
    """How far each point reaches along each direction, to the power of M (K, 512)."""
    reach = ((reference - points)[:, None].clip(0.0) / directions).min(axis=2)
    powers: Losses = reach ** len(reference)
    return powers
