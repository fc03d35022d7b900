"""What networks that were stopped on the way would have ended with, carried from their last rung.

values at a rung, and at the end of those that passed it -> monotone fit -> values at the end
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from optuna_nas.pareto import Losses
from optuna_nas.samplers.history import END, Network

__all__ = ["Carrier", "monotone"]

Floats = NDArray[np.float64]
Vector = tuple[float, ...]

FEW = 5
"""Networks that passed a step and were trained to the end, from which on a fit is made."""
UNTRAINED = -1.0
"""Step of networks that have reached none."""
PRIOR = 3.0
"""Networks that the slope expected of a straight line counts as."""
FLATTEST = 0.05
"""Least slope of a straight line: what is better at a rung is never worse at the end."""
STRAIGHT = 0.1
"""Share of the straight line in a fit; the rest has steps, on which networks would be equal."""


class Carrier:
    """The networks of a study, and the losses at the end of those that did not get there.

    They are a function of the networks taken in, in whatever order.

    Args:
        objectives: How many there are.
    """

    def __init__(self, objectives: int) -> None:
        self._places = range(objectives)
        self._known: NDArray[np.bool_] | None = None
        self._told: dict[int, Vector] = {}
        self._ended: dict[int, Vector] = {}
        self._stopped: dict[int, tuple[float, Vector]] = {}
        self._passed: dict[float, dict[int, Vector]] = {}
        self._fits: dict[tuple[float, int], tuple[int, Callable[[Floats], Floats]]] = {}

    def add(self, number: int, network: Network, told: Vector) -> None:
        """Take in a network, or what became of one that was taken in before.

        Args:
            number: What it is known by.
            network: Its losses.
            told: Losses that were measured of it, NaN for others.
        """
        steps = sorted(network.losses)
        if len(steps) > 1:
            rows = np.array([network.losses[step] for step in steps])
            same = (rows == rows[0]).all(axis=0)
            self._known = same if self._known is None else self._known & same
        self._told[number] = told
        self._stopped.pop(number, None)
        if END in network.losses:
            self._ended[number] = network.losses[END]
            for step in steps[:-1]:
                self._passed.setdefault(step, {})[number] = network.losses[step]
        else:
            nothing = UNTRAINED, (np.nan,) * len(self._places)
            self._stopped[number] = (steps[-1], network.losses[steps[-1]]) if steps else nothing

    def losses(self) -> dict[int, Vector]:
        """Finite losses at the end of every network that did not get there.

        What nothing is known of is as bad as the worst.
        """
        if not self._stopped:
            return {}
        steps = np.array([step for step, _ in self._stopped.values()])
        last = self._rows([values for _, values in self._stopped.values()])
        told = self._rows([self._told[number] for number in self._stopped])
        ends = np.column_stack(
            [self._ends(place, steps, last[:, place]) for place in self._places]
        )
        ends = np.where(np.isfinite(told), told, ends)
        seen = np.vstack((self._rows(list(self._ended.values())), ends))
        worst = np.where(np.isfinite(seen), seen, -np.inf).max(axis=0, initial=-np.inf)
        ends = np.where(np.isfinite(ends), ends, np.where(np.isfinite(worst), worst, 0.0))
        return dict(zip(self._stopped, map(tuple, ends.tolist()), strict=True))

    def _rows(self, vectors: Sequence[Vector]) -> Losses:
        return np.array(vectors, dtype=float).reshape(-1, len(self._places))

    def _ends(self, place: int, steps: Floats, last: Floats) -> Floats:
        """Losses of one objective at the end, NaN where nothing is known."""
        if self._known is not None and self._known[place]:
            return last
        ends = np.full(len(last), np.nan)
        for step in np.unique(steps):
            if (fit := self._fit(step, place)) is not None:
                ends[steps == step] = fit(last[steps == step])
        left = np.isnan(ends) & np.isfinite(last)
        if left.any():
            ends[left] = self._in_order(place, steps[left], last[left])
        return ends

    def _fit(self, step: float, place: int) -> Callable[[Floats], Floats] | None:
        passed = self._passed.get(step, {})
        pairs = np.array([(at[place], self._ended[n][place]) for n, at in passed.items()])
        pairs = pairs[np.isfinite(pairs).all(axis=1)] if len(pairs) else pairs
        if len(pairs) < FEW:
            return None
        if self._fits.get((step, place), (0,))[0] != len(pairs):
            self._fits[step, place] = len(pairs), monotone(*pairs[np.lexsort(pairs.T)].T)
        return self._fits[step, place][1]

    def _in_order(self, place: int, steps: Floats, last: Floats) -> Floats:
        """Worse than any that ended, and ordered by step, then by loss."""
        ended = self._rows(list(self._ended.values()))[:, place]
        ended = ended[np.isfinite(ended)]
        worst, spread = (ended.max(), np.ptp(ended)) if len(ended) else (0.0, 0.0)
        keys = np.column_stack((-steps, last))
        ranked, order = np.unique(keys, axis=0, return_inverse=True)
        return worst + (spread or 1.0) * (order.ravel() + 1) / len(ranked)


def monotone(inputs: Floats, values: Floats) -> Callable[[Floats], Floats]:
    """Fit a function that always rises.

    Isotonic regression with a share of a straight line, so that it has no level steps. Beyond the
    inputs it goes on as the line does, whose slope is drawn towards 1: both are of one unit.

    Args:
        inputs: Sorted (N,).
        values: What to predict (N,).

    Source: isotonic regression, Barlow et al. 1972, ISBN 978-0-471-04970-8.
    """
    from sklearn.isotonic import IsotonicRegression  # slow to import

    isotonic = IsotonicRegression(out_of_bounds="clip").fit(inputs, values)
    moved = inputs - inputs.mean()
    expected = PRIOR * (moved @ moved / len(moved) or 1.0)
    slope = (moved @ (values - values.mean()) + expected) / (moved @ moved + expected)
    slope = max(slope, FLATTEST)

    def fit(asked: Floats) -> Floats:
        within = np.clip(asked, inputs[0], inputs[-1])
        line = values.mean() + slope * (within - inputs.mean())
        steps = isotonic.predict(within)
        carried: Floats = STRAIGHT * line + (1 - STRAIGHT) * steps + slope * (asked - within)
        return carried

    return fit
