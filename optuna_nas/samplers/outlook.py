"""What the networks of a study are expected to end with, and what others would add to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from optuna_nas.pareto import Losses, on_front
from optuna_nas.samplers.forest import Columns, Forest
from optuna_nas.samplers.genes import Encoder
from optuna_nas.samplers.history import Network, at_rungs
from optuna_nas.samplers.improvement import improvement
from optuna_nas.samplers.surrogate import Surrogate

__all__ = ["Fit", "Looked", "Outlook"]

Looked = tuple[Mapping[str, float], Mapping[int, float]]
"""Genes of a network that was looked at, and place of an objective -> its loss."""

USUAL = 95
"""Percentile of what random networks are expected to end with, beyond which a trained objective
counts nothing. (That of the networks trained so far would sink while the search finds better
ones, until the cheapest networks of the front counted nothing.)"""


class Fit:
    """Models fitted to networks.

    Args:
        networks: The networks.
        columns: Their genes (N, C).
        encoder: What made the columns.
        levels: Steps at which networks are compared (L,), the end last.
        known: Whether each objective is the same at every level (M,).
        random: Genes of networks drawn at random.
        looked: Genes of networks that were only looked at, and place of an objective -> loss.
        seed: Seed of the models.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        columns: Columns,
        encoder: Encoder,
        levels: Sequence[float],
        known: Sequence[bool],
        random: Sequence[Mapping[str, float]],
        looked: Sequence[Looked],
        seed: int,
    ) -> None:
        self.encoder = encoder
        self.levels = levels
        self.known = known
        used = [i for i, network in enumerate(networks) if network.losses]
        seen = self.seen([networks[i] for i in used])
        told = np.full((len(looked), len(known)), np.nan)
        for row, (_, exact) in zip(told, looked, strict=True):
            row[list(exact)] = list(exact.values())
        more = encoder([drawn for drawn, _ in looked]) if looked else columns[:0]
        telling = encoder.telling
        self.surrogate = Surrogate(columns[used], seen, known, telling, seed, more, told)
        unseen = np.full((len(random), len(levels), len(known)), np.nan)
        ends = self.surrogate.expected(encoder(random), unseen)
        self.usual = np.percentile(ends, USUAL, axis=0)
        capped = [i for i, network in enumerate(networks) if network.violation is not None]
        violations = np.array([networks[i].violation for i in capped])
        self._violation = None
        if len(violations) and violations.min() <= 0 < violations.max():
            self._violation = Forest(columns[capped], violations, telling, seed)

    def seen(self, networks: Sequence[Network]) -> Losses:
        """Losses at each rung and at the end (N, L, M), NaN where they were not seen."""
        return at_rungs(networks, self.levels, len(self.known))

    def feasible(self, columns: Columns) -> NDArray[np.float64]:
        """Probability that networks keep every cap (K,)."""
        if self._violation is None:
            return np.ones(len(columns))
        share: NDArray[np.float64] = (self._violation(columns) <= 0).mean(axis=0)
        return share


class Outlook:
    """The networks of a study with what they are expected to end with.

    Args:
        fit: Models that tell.
        networks: The networks (N).
        columns: Their genes (N, C).
    """

    def __init__(self, fit: Fit, networks: Sequence[Network], columns: Columns) -> None:
        self.fit = fit
        self.networks = networks
        self._columns = columns
        self._seen = fit.seen(networks)
        self._ends = fit.surrogate.expected(columns, self._seen)
        kept = np.array([n.violation is None or n.violation <= 0 for n in networks])
        self._counts = kept if kept.any() else ~kept
        ends = self._ends[self._counts]
        worst = ends.max(axis=0)
        edge = worst + 0.05 * (worst - ends.min(axis=0))
        self._reference = np.where(fit.known, edge, fit.usual)

    def gain(self, points: Losses) -> Losses:
        """What points (K, M) would add to all networks at their expected ends (K,)."""
        return improvement(self._ends[self._counts], points, self._reference)

    def best(self) -> list[Network]:
        """The front of the expected ends."""
        places = np.flatnonzero(self._counts)
        return [self.networks[i] for i in places[on_front(self._ends[places])]]

    def most_promising(self, rng: np.random.Generator) -> Network:
        """The paused network that may add most to those trained to the end, or on their way."""
        sampled = self.fit.surrogate.expected(self._columns, self._seen, rng)
        paused = np.array([network.paused for network in self.networks])
        ended = ~np.isnan(self._seen[:, -1]).any(axis=1)
        going_on = np.array([not n.state.is_finished() and bool(n.losses) for n in self.networks])
        front = self._ends[(ended | going_on) & self._counts]
        gains = improvement(front, sampled[paused], self._reference)
        if gains.max() <= 0:  # none adds anything: the one nearest to the best of all
            gains = -sampled[paused] @ (1 / np.maximum(np.ptp(self._ends, axis=0), 1e-12))
        return [n for n in self.networks if n.paused][int(np.argmax(gains))]
