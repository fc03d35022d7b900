"""Prunes what is unlikely to end on the front, by where its learning curve is going."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

from optuna_nas.exceptions import DescriptionError
from optuna_nas.pareto import Losses
from optuna_nas.pruners.curve import latest
from optuna_nas.pruners.extrapolation import FEWEST, Ending, learned_end, parametric_end
from optuna_nas.pruners.lineages import Lineages
from optuna_nas.pruners.ranking import ranges, traded
from optuna_nas.pruners.rungs import check_at_least
from optuna_nas.pruners.trained import Curve, Trained, as_losses, read

__all__ = ["LearningCurve"]

Floats = NDArray[np.float64]

SAMPLES = 256
"""Endings that a chance is counted over."""


class LearningCurve(BasePruner):
    """Stops a trial that has hardly a chance left to end among the best.

    The end of its curve is extrapolated, with its uncertainty, from the curves of complete trials
    (`extrapolation.expected_end`). What was never reported to change, such as a latency, is
    known. The chance is that of being dominated by fewer than `among` complete trials at their
    last reports: with one objective that of a place among the best, with several that of a place
    on the front. As in `ParetoSuccessiveHalving`, a tenth of the range of one objective weighs as
    much as the whole range of another.

    A network taken up again is judged by the whole curve of its lineage, and not at steps that it
    had reached before. A value that is not finite ends a trial once it may be judged.

    Args:
        warmup: First step at which a trial may be stopped.
        threshold: Chance below which it is stopped.
        startup: Complete trials before any is stopped for its chance.
        among: How many complete trials must dominate a trial for it to have lost.

    Raises:
        DescriptionError: An argument is out of its range.

    Source: stopping by the probability to beat the best, Domhan, Springenberg and Hutter 2015,
        IJCAI; here with several objectives.
    """

    def __init__(
        self, warmup: int = 1, threshold: float = 0.05, startup: int = 5, among: int = 1
    ) -> None:
        check_at_least("warmup", warmup, 0)
        check_at_least("startup", startup, 1)
        check_at_least("among", among, 1)
        if not isinstance(threshold, float) or not 0 < threshold < 1:
            raise DescriptionError(f"expected a threshold between 0 and 1, got {threshold!r}")
        self._warmup = warmup
        self._threshold = threshold
        self._startup = startup
        self._among = among

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial should stop, judged by its network's reports so far."""
        reported = latest(trial, len(study.directions))
        if reported is None or reported[0] < self._warmup:
            return False
        step, values = reported
        if not np.isfinite(values).all():
            return True
        lineages = Lineages(study)
        earlier = lineages.earlier(trial)
        if earlier is not None and step <= max(lineages.curve(earlier), default=-1):
            return False
        others = read(study, lineages).without(lineages.root(trial))
        if len(others.roots) < self._startup:
            return False
        own = as_losses(lineages.curve(trial), study.directions)
        return _chance(own, others, self._among) < self._threshold


def _chance(own: Curve, others: Trained, among: int) -> float:
    """Probability that fewer than `among` rivals dominate what a curve ends with."""
    endings = _endings(own, others)
    rivals = others.losses[others.allowed, -1]
    expected = np.array([[ending.mean for ending in endings]])
    everyone = ranges(np.vstack((expected, rivals)))
    ends, rivals = (traded(points, everyone) for points in (_sampled(endings), rivals))
    no_worse = (rivals <= ends.max(axis=0)).all(axis=1)  # the others dominate no sample
    shape = (len(ends), np.count_nonzero(no_worse))
    weakly, strictly = np.ones(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for mine, theirs in zip(ends.T[:, :, None], rivals[no_worse].T, strict=True):
        weakly &= theirs <= mine
        strictly |= theirs < mine
    return float(((weakly & strictly).sum(axis=1) < among).mean())


def _endings(own: Curve, others: Trained) -> list[Ending]:
    """What a curve is expected to end with, by every objective."""
    steps, losses = own
    others = others.on(steps)
    further = others.lengths >= steps[-1]
    endings = []
    for curve, theirs in zip(losses.T, np.moveaxis(others.losses, 2, 0), strict=True):
        if (curve == curve[0]).all() and (theirs == theirs[:, :1]).all():
            endings.append(Ending(float(curve[-1]), 0.0))
        elif np.count_nonzero(further) >= FEWEST:
            drawn = np.interp(others.steps, steps, curve)
            endings.append(learned_end(others.steps, theirs[further], drawn, steps[-1]))
        else:
            endings.append(parametric_end(steps, curve, float(others.lengths.max())))
    return endings


def _sampled(endings: Sequence[Ending]) -> Losses:
    """Losses spread evenly over what is expected (S, M)."""
    means = np.array([ending.mean for ending in endings])
    deviations = np.array([ending.deviation for ending in endings])
    samples: Losses = means + np.zeros((SAMPLES, 1))
    samples[:, deviations > 0] += deviations[deviations > 0] * _normal(int((deviations > 0).sum()))
    return samples


@lru_cache
def _normal(dimensions: int) -> Floats:
    """The same standard normal numbers each time (S, D), evenly spread."""
    if dimensions == 0:
        return np.empty((SAMPLES, 0))
    from scipy.stats import norm, qmc  # slow to import

    drawn: Floats = norm.ppf(qmc.Sobol(dimensions, seed=0).random(SAMPLES).clip(1e-6, 1 - 1e-6))
    return drawn
