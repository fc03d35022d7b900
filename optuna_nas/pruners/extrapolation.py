"""What a training is expected to end with: curve so far, and finished curves -> mean, deviation.

What still lies between the best value so far and the end is learned from the finished curves, by
a regression on their beginnings, in which those that began alike weigh most. As long as fewer
than three have finished, a mixture of parametric curves is fitted to the beginning alone.

Source: regression on beginnings, Baker et al. 2017, arXiv:1705.10823; locally weighted, Cleveland
    1979, doi:10.1080/01621459.1979.10481038; mixture of curves, Domhan, Springenberg and Hutter
    2015, IJCAI.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from optuna_nas.exceptions import DescriptionError

__all__ = ["FEWEST", "Ending", "expected_end", "learned_end", "parametric_end"]

Floats = NDArray[np.float64]

FEWEST = 3
"""Finished curves from which on endings are learned."""
NEIGHBOURS = 6
"""Fewest finished curves that weigh in fully; with many, the square root of their number."""
RIDGE = 0.3
DOUBT = 3.0
"""How many curves the deviation assumed beforehand, that of all rises, counts for."""
FLOOR = 0.02
"""Least deviation assumed beforehand, in spreads of what curves begin with."""
PARTS = 200
"""Time in parts of the whole, in which rates are given."""
POWERS = np.geomspace(0.05, 2, 12)
RATES = np.geomspace(0.005, 1, 20)


class Ending(NamedTuple):
    """Loss that a training is expected to end with."""

    mean: float
    deviation: float


def expected_end(
    curve: Mapping[int, float],
    finished: Sequence[Mapping[int, float]],
    length: float | None = None,
) -> Ending:
    """Expected loss at the end of a training.

    Args:
        curve: Step -> loss so far, finite; at least one.
        finished: The same of trainings that reached their end.
        length: Step of the end, for as long as fewer than three finished trainings came as far;
            that of the longest finished one by default.

    Raises:
        DescriptionError: The curve is empty, or nothing says how long a training is.
    """
    if not curve:
        raise DescriptionError("expected a curve of at least one step, got an empty one")
    at = max(curve)
    further = [other for other in finished if other and max(other) >= at]
    if len(further) >= FEWEST:
        steps = np.unique([step for other in (curve, *further) for step in other]).astype(float)
        losses = np.stack([np.interp(steps, *_arrays(other)) for other in further])
        return learned_end(steps, losses, np.interp(steps, *_arrays(curve)), at)
    if length is None and not further:
        raise DescriptionError(
            "expected the length of a training beside a curve that goes further than the "
            f"finished ones, got {len(finished)} finished and length=None; pass length"
        )
    return parametric_end(*_arrays(curve), max(map(max, further)) if length is None else length)


def _arrays(curve: Mapping[int, float]) -> tuple[Floats, Floats]:
    steps = sorted(curve)
    return np.array(steps, dtype=float), np.array([curve[step] for step in steps])


def learned_end(steps: Floats, losses: Floats, curve: Floats, at: float) -> Ending:
    """Expected end of a curve by finished ones that came at least as far.

    Args:
        steps: Steps, rising (T,).
        losses: Finished curves (N, T), at least three.
        curve: The curve (T,); what lies beyond `at` is not read.
        at: Step that it has reached, one of the steps.
    """
    begun = steps <= at
    inputs = _beginnings(steps[begun], np.vstack((losses, curve))[:, begun])
    scale = float(inputs.std(axis=0).mean()) or 1.0
    inputs, own = inputs[:-1] / scale, inputs[-1] / scale
    rises = losses[:, -1] / scale - inputs[:, 0]
    weights = _nearness(np.sqrt(((inputs - own) ** 2).mean(axis=1)))
    rise, variance = _regression(inputs, rises, weights, own)
    return Ending((float(own[0]) + rise) * scale, float(np.sqrt(variance)) * scale)


def parametric_end(steps: Floats, losses: Floats, length: float) -> Ending:
    """Expected end of a curve by itself: power laws, exponentials and an inverse logarithm.

    Each shape is fitted by least squares and weighs by its likelihood. Beyond their disagreement
    all that is still to come counts as doubt.

    Args:
        steps: Steps, rising (t,).
        losses: The curve (t,).
        length: Step of the end; no earlier than the last of the curve.
    """
    width = float(np.ptp(losses)) or abs(float(losses[-1])) or 1.0
    fits = [_fit(shape, losses / width) for shape in _shapes(steps, length)]
    likelihoods = np.array([likelihood for _, _, likelihood in fits])
    weights = np.exp(likelihoods - likelihoods.max())
    weights /= weights.sum()
    ends = np.array([end for end, _, _ in fits])
    mean = float(weights @ ends)
    spread = weights @ ((ends - mean) ** 2 + np.array([noise for _, noise, _ in fits]))
    doubt = abs(mean - losses.min() / width) + 0.15
    return Ending(mean * width, float(np.hypot(np.sqrt(spread), doubt)) * width)


def _beginnings(steps: Floats, losses: Floats) -> Floats:
    """What beginnings (N, t) are compared by (N, 5), on a log scale of time: the best first.

    Lowest loss up to now, a half and a quarter of the way, and means shortly before now and half.
    """
    now = steps[-1]
    lowest = [losses[:, : _after(steps, now / part)].min(axis=1) for part in (1, 2, 4)]
    means = []
    for moment in (now, now / 2):
        end = _after(steps, moment)
        start = min(_after(steps, 0.8 * moment), end - 1)
        means.append(losses[:, start:end].mean(axis=1))
    return np.stack([*lowest, *means], axis=1)


def _after(steps: Floats, moment: float) -> int:
    return max(int(np.searchsorted(steps, moment, side="right")), 1)


def _nearness(distances: Floats) -> Floats:
    """Weight of each curve, 1 where it began the same."""
    count = len(distances)
    neighbours = min(count - 1, max(NEIGHBOURS, int(np.sqrt(count))))
    width = float(np.partition(distances, neighbours)[neighbours]) or 1.0
    weights: Floats = np.exp(-0.5 * (distances / width) ** 2)
    return weights


def _regression(
    inputs: Floats, targets: Floats, weights: Floats, own: Floats
) -> tuple[float, float]:
    """Weighted ridge regression: prediction and its variance at one point."""
    total = weights.sum()
    centre, height = weights @ inputs / total, weights @ targets / total
    inputs, targets, own = inputs - centre, targets - height, own - centre
    weighted = (inputs * weights[:, None]).T
    precision = weighted @ inputs + RIDGE * np.eye(len(own))
    slopes = np.linalg.solve(precision, weighted @ targets)
    used = 1 + np.trace(np.linalg.solve(precision, weighted @ inputs))
    left = targets - inputs @ slopes
    assumed = weights @ targets**2 / total + FLOOR**2
    noise = (weights @ left**2 + DOUBT * assumed) / (max(total - used, 0.0) + DOUBT)
    reach = 1 + 1 / total + own @ np.linalg.solve(precision, own)
    return float(height + own @ slopes), float(noise * reach)


class _Shape(NamedTuple):
    """How a curve falls: from its first step on, and at its end; and its free parameters."""

    fall: Floats
    last: float
    parameters: int
    share: float


def _shapes(steps: Floats, length: float) -> list[_Shape]:
    at = PARTS * (np.append(steps, max(length, steps[-1])) + 1) / (max(length, steps[-1]) + 1)
    powers = [(at**-power, 3, 1 / len(POWERS)) for power in POWERS]
    exponentials = [(np.exp(-rate * at), 3, 1 / len(RATES)) for rate in RATES]
    falls = [*powers, *exponentials, (1 / np.log1p(at), 2, 1.0)]
    return [_Shape(fall[:-1], float(fall[-1]), free, share) for fall, free, share in falls]


def _fit(shape: _Shape, values: Floats) -> tuple[float, float, float]:
    """Loss at the end, variance around the curve and log-likelihood of a shape."""
    moved = shape.fall - shape.fall.mean()
    slope = max(float(moved @ values / max(moved @ moved, 1e-12)), 0.0)
    level = float(values.mean() - slope * shape.fall.mean())
    left = values - level - slope * shape.fall
    count = len(values)
    noise = float((left @ left + 2 * FLOOR**2) / max(count - shape.parameters + 2, 1))
    likelihood = -0.5 * count * np.log(noise) - 0.5 * shape.parameters * np.log(count)
    return level + slope * shape.last, noise, float(likelihood + np.log(shape.share))
