"""Replays of several methods, beside each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import bootstrap

from optuna_nas.bench import quality
from optuna_nas.bench.replay import Replay
from optuna_nas.bench.tabular import Floats, Table

__all__ = ["REACHED", "compare"]

REACHED = (0.85, 0.9, 0.945, 0.98, 0.99)
"""Fractions for which the budget needed is told."""
OPTUNAS = "optuna-"
"""How the names of Optuna's own methods begin."""
SURE = 6
"""Digits of -log10(1 - fraction) at most, where the front is all there."""


def compare(
    problem: Table, replays: Mapping[str, Sequence[Replay]], budgets: Sequence[float]
) -> dict[str, Any]:
    """Compare methods; JSON values.

    Args:
        problem: The table.
        replays: Method -> a replay for each seed; the others are compared with the first.
        budgets: Budgets in full trainings.

    Returns:
        `budgets`, and by method, for each budget:
        `median`, `lower` and `upper` quartile of the fraction reached; `gap`, -log10(1 - median);
        `distance`, IGD+, median; `difference`, the median less that of the first method, which is
        `against`, and the 95 % interval of that (paired bootstrap; None with one seed).
        By method and fraction: `reached`, median budget needed (None where half of the seeds did
        not get there), and `saving`, what the best of Optuna's methods needs as a multiple of it.
        By method: `milliseconds`, the sampler's own time for a trial, median.
    """
    fractions = {
        name: np.array([quality.fractions(problem, one, budgets) for one in some])
        for name, some in replays.items()
    }
    quartiles = {
        name: np.percentile(some, (25, 50, 75), axis=0) for name, some in fractions.items()
    }
    needed = {name: _needed(problem, some) for name, some in replays.items()}
    first = next(iter(replays))
    return {
        "budgets": list(budgets),
        "median": {name: some[1].tolist() for name, some in quartiles.items()},
        "lower": {name: some[0].tolist() for name, some in quartiles.items()},
        "upper": {name: some[2].tolist() for name, some in quartiles.items()},
        "gap": {name: gaps(some[1]) for name, some in quartiles.items()},
        "distance": {name: _distance(problem, some, budgets) for name, some in replays.items()},
        "reached": {name: _by_fraction(some) for name, some in needed.items()},
        "saving": _savings(needed),
        "against": first,
        "difference": {
            name: [_difference(a, b) for a, b in zip(some.T, fractions[first].T, strict=True)]
            for name, some in fractions.items()
            if name != first
        },
        "milliseconds": {
            name: finite(np.median([one.milliseconds for one in some]))
            for name, some in replays.items()
        },
    }


def gaps(fractions: Sequence[float] | Floats) -> list[float]:
    """-log10(1 - fraction) of each fraction."""
    return [-math.log10(max(1 - fraction, 10**-SURE)) for fraction in fractions]


def finite(value: float) -> float | None:
    """The number, or None where it is none."""
    return float(value) if math.isfinite(value) else None


def _needed(problem: Table, replays: Sequence[Replay]) -> Floats:
    each = [quality.needed(problem, one, REACHED) for one in replays]
    return np.percentile(each, 50, axis=0, method="higher")  # between a number and infinity: that


def _by_fraction(values: Floats) -> dict[str, float | None]:
    return {str(share): finite(v) for share, v in zip(REACHED, values, strict=True)}


def _savings(needed: Mapping[str, Floats]) -> dict[str, dict[str, float | None]]:
    optunas = [budgets for name, budgets in needed.items() if name.startswith(OPTUNAS)]
    best = np.min(optunas, axis=0) if optunas else np.full(len(REACHED), math.inf)
    with np.errstate(invalid="ignore"):
        return {name: _by_fraction(best / budgets) for name, budgets in needed.items()}


def _distance(
    problem: Table, replays: Sequence[Replay], budgets: Sequence[float]
) -> list[float | None]:
    each = [quality.distances(problem, one, budgets) for one in replays]
    return [finite(v) for v in np.percentile(each, 50, axis=0, method="higher")]


def _difference(values: Floats, others: Floats) -> list[float | None]:
    """Median of values less that of others, and the ends of its 95 % interval."""

    def less(a: Floats, b: Floats, axis: int = -1) -> Floats:
        difference: Floats = np.median(a, axis=axis) - np.median(b, axis=axis)
        return difference

    if len(values) < 2:
        return [float(less(values, others)), None, None]
    interval = bootstrap(
        (values, others), less, paired=True, vectorized=True, method="percentile", random_state=0
    ).confidence_interval
    return [float(less(values, others)), float(interval.low), float(interval.high)]
