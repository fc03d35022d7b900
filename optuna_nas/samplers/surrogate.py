"""What a network will be worth when it is trained to the end, learned from those seen so far.

Genes say what a network is worth at the first rung; genes and the value at one rung say what it
is worth at the next. So cheap trainings carry most of what is learned, and values of different
fidelities are never compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optuna_nas.pareto import Losses
from optuna_nas.samplers.forest import Columns, Floats, Forest

__all__ = ["Surrogate", "Trend"]

MEAN_TREES = 20
"""Where only their mean counts."""
FEW = 15
"""Networks from which on what a straight line leaves is learned too."""
NOISE = 0.3
"""Deviation from a straight line assumed before any is seen, in spreads of the values."""
USUAL_VARIANCE = 0.55
"""That of a normal distribution whose quartiles are 1 apart, as those of scaled values are."""
FAR = 5.0
"""Spreads from the median beyond which a loss is no worse: it says only that a network failed."""


class Trend:
    """A linear model, drawn towards a slope expected, and a forest for what it leaves.

    Args:
        inputs: What the values depend on linearly (N, D).
        values: What to predict (N,), in units of their spread.
        slope: Slope expected of every input.
        columns: Further inputs of the forest (N, C).
        telling: How many of them, the first ones, tell most.
        seed: Seed of the forest.

    Attributes:
        noise: Standard deviation of the values around the linear model.
        slopes: Slope of each input (D,).
    """

    def __init__(
        self,
        inputs: Floats,
        values: Floats,
        slope: float,
        columns: Columns,
        telling: int,
        seed: int,
    ) -> None:
        self._centre = inputs.mean(axis=0) if len(values) else np.zeros(inputs.shape[1])
        self._height = float(values.mean()) if len(values) else 0.0
        moved = inputs - self._centre
        expected = np.full(inputs.shape[1], slope)
        self.slopes = expected + np.linalg.solve(
            moved.T @ moved + np.eye(len(expected)),
            moved.T @ (values - self._height - moved @ expected),
        )
        left = values - self._line(inputs)
        self.noise = float(np.sqrt((left @ left + 3 * NOISE**2) / (len(left) + 3)))
        self._forest = None
        if len(values) >= FEW:
            both = np.hstack((inputs, columns)).astype(np.float32)
            self._forest = Forest(both, left, inputs.shape[1] + telling, seed, 2, MEAN_TREES)

    def __call__(self, inputs: Floats, columns: Columns) -> Floats:
        """Predictions (N,)."""
        line = self._line(inputs)
        if self._forest is None:
            return line
        told: Floats = line + self._forest(np.hstack((inputs, columns))).mean(axis=0)
        return told

    def _line(self, inputs: Floats) -> Floats:
        line: Floats = self._height + (inputs - self._centre) @ self.slopes
        return line


class Surrogate:
    """Predicts the losses that networks end with.

    Args:
        columns: Genes of the networks to learn from (N, C).
        seen: Their losses at each rung and at the end (N, L, M): NaN where they were not seen,
            infinite where a training failed.
        known: Whether each objective is the same at every rung (M,).
        telling: How many columns, the first ones, tell most.
        seed: Seed of the forests.
        more: Genes of networks of which only known objectives were looked at (K, C).
        told: Losses of those, NaN for the other objectives (K, M).
    """

    def __init__(
        self,
        columns: Columns,
        seen: Floats,
        known: Sequence[bool],
        telling: int,
        seed: int,
        more: Columns,
        told: Floats,
    ) -> None:
        self._known = known
        finite = seen[np.isfinite(seen).all(axis=2)]
        self._logarithmic = (finite > 0).all(axis=0)
        logarithms = self._logarithms(seen)
        finite = np.where(np.isfinite(logarithms), logarithms, np.nan)
        first = np.stack([_first(finite[:, :, m]) for m in range(seen.shape[2])], axis=1)
        low, self._middle, high = np.nanpercentile(first, (25, 50, 75), axis=0)
        self._spread = np.where(high > low, high - low, 1.0)
        self._starts: list[Forest | Trend] = []
        self._rises: list[list[Trend]] = []
        scaled = self._scaled(seen)
        for m, is_known in enumerate(known):
            values = scaled[:, :, m]
            if is_known:
                among = np.vstack((columns, more))
                ends = np.concatenate((_first(values), self._scaled(told[:, None])[:, 0, m]))
                self._starts.append(
                    _forecast(among[np.isfinite(ends)], ends[np.isfinite(ends)], seed)
                )
                self._rises.append([])
            else:
                has = np.isfinite(values[:, 0])
                self._starts.append(Forest(columns[has], values[has, 0], telling, seed))
                self._rises.append(_rises(columns, values, telling, seed))

    def expected(
        self, columns: Columns, seen: Floats, rng: np.random.Generator | None = None
    ) -> Losses:
        """Losses at the end of networks of which something was seen, or nothing yet.

        Args:
            columns: Genes (N, C).
            seen: Losses as for the constructor (N, L, M).
            rng: Adds half the noise of what is not known yet, drawn at random. (Thompson sampling
                with all of it finds less in few trials.)

        Returns:
            Losses (N, M), those of the end where it was seen.
        """
        scaled = self._scaled(seen)
        ends = []
        for m, is_known in enumerate(self._known):
            end, noise = self._end(m, is_known, columns, scaled[:, :, m])
            ends.append(end if rng is None else end + noise * rng.normal(size=len(end)) / 2)
        return self._in_units(ends)

    def proposed(self, columns: Columns, rng: np.random.Generator) -> Losses:
        """A sample of what networks that were never seen may end with (K, M).

        One tree tells of all of them: a sample of what might be true (Thompson 1933).
        """
        ends = []
        for start, rises in zip(self._starts, self._rises, strict=True):
            if isinstance(start, Trend):
                told = start(columns.astype(float), columns[:, :0])
            else:
                told = start.sample(columns, rng)
            for rise in rises:
                told = rise(told[:, None], columns)
            ends.append(told)
        return self._in_units(ends)

    @property
    def told(self) -> float:
        """Share of the variance at the end that the first rung tells; 1 without rungs.

        That of random networks: the fits from rung to rung hold for them too, though networks are
        taken up again for what they had reached. Of several objectives the one that is told least.
        """
        return min((_told(rises) for rises in self._rises if rises), default=1.0)

    def _end(
        self, objective: int, known: bool, columns: Columns, values: Floats
    ) -> tuple[Floats, Floats]:
        """Value at the end of each network, and the noise that it is known with."""
        start = self._starts[objective]
        end = (
            start(columns.astype(float), columns[:, :0])
            if isinstance(start, Trend)
            else start(columns).mean(axis=0)
        )
        noise = np.full(len(end), NOISE)
        if known:
            first = _first(values)
            has = np.isfinite(first)
            return np.where(has, first, end), np.where(has, 0.0, noise)
        for rung, reached in enumerate(values.T):
            if rung:
                rise = self._rises[objective][rung - 1]
                end, noise = rise(end[:, None], columns), np.hypot(noise, rise.noise)
            has = np.isfinite(reached)
            end, noise = np.where(has, reached, end), np.where(has, 0.0, noise)
        return end, noise

    def _scaled(self, seen: Floats) -> Floats:
        scaled: Floats = np.minimum((self._logarithms(seen) - self._middle) / self._spread, FAR)
        return scaled

    def _in_units(self, ends: Sequence[Floats]) -> Losses:
        losses: Losses = np.stack(ends, axis=-1) * self._spread + self._middle
        return np.where(
            self._logarithmic, np.exp(np.where(self._logarithmic, losses, 0.0)), losses
        )

    def _logarithms(self, seen: Floats) -> Floats:
        positive = np.where(self._logarithmic, seen, 1.0)
        return np.where(self._logarithmic, np.log(np.maximum(positive, 1e-300)), seen)


def _forecast(columns: Columns, values: Floats, seed: int) -> Trend:
    return Trend(columns.astype(float), values, 0.0, columns[:, :0], 0, seed)


def _rises(columns: Columns, values: Floats, telling: int, seed: int) -> list[Trend]:
    """What lies between each two rungs (N, L)."""
    rises = []
    for below, above in zip(values.T, values.T[1:], strict=False):
        both = np.isfinite(below) & np.isfinite(above)
        rise = Trend(below[both, None], above[both], 1.0, columns[both], telling, seed)
        rises.append(rise)
    return rises


def _told(rises: Sequence[Trend]) -> float:
    signal, noise = USUAL_VARIANCE, 0.0
    for rise in rises:
        steep = float(rise.slopes[0]) ** 2
        signal, noise = steep * signal, steep * noise + rise.noise**2
    return signal / (signal + noise)


def _first(values: Floats) -> Floats:
    """The first value of each network that is not NaN (N, L) -> (N,)."""
    at = np.isfinite(values).argmax(axis=1)
    first: Floats = values[np.arange(len(values)), at]
    return first
