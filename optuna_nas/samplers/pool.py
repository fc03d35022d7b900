"""Networks that are compared for one proposal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optuna_nas.pareto import Losses
from optuna_nas.samplers.genes import genes
from optuna_nas.samplers.outlook import Outlook
from optuna_nas.samplers.proposing import Tried
from optuna_nas.samplers.screen import Screen
from optuna_nas.samplers.virtual import Proposal

__all__ = ["Pool"]


class Pool:
    """New networks, and what each would add to the front, if one sample of beliefs were true.

    Equal networks with other parameters stay: what is known of them need not be equal.

    Args:
        tried: Networks that are not new.
        outlook: Tells what networks would add.
        belief: Seed of the sample.

    Attributes:
        proposals: The networks (K).
    """

    def __init__(self, tried: Tried, outlook: Outlook, belief: int) -> None:
        self.proposals: list[Proposal] = []
        self._tried = tried
        self._outlook = outlook
        self._belief = belief
        self._keys: set[Any] = set()
        self._losses = np.empty((0, len(outlook.fit.known)))
        self._feasible = np.empty(0)

    def add(self, proposals: Iterable[Proposal]) -> None:
        """Add those that are new."""
        fresh = []
        for proposal in proposals:
            key = frozenset(proposal.params.items())
            if proposal not in self._tried and key not in self._keys:
                self._keys.add(key)
                fresh.append(proposal)
        if not fresh:
            return
        fit = self._outlook.fit
        columns = fit.encoder([genes(proposal) for proposal in fresh])
        losses = fit.surrogate.proposed(columns, np.random.default_rng(self._belief))
        self.proposals += fresh
        self._losses = np.concatenate((self._losses, losses))
        self._feasible = np.concatenate((self._feasible, fit.feasible(columns)))

    def tell(self, place: int, losses: dict[int, float]) -> None:
        """Put what is known of a network in the place of what is believed.

        Args:
            place: Of the network.
            losses: Place of an objective -> its loss.
        """
        self._losses[place, list(losses)] = list(losses.values())

    def worth(self) -> Losses:
        """What each network would add to the front (K,)."""
        gains: Losses = self._outlook.gain(self._losses) * self._feasible
        return gains

    def best(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Places of those that would add most; where several add the same, any of them."""
        order = np.lexsort((rng.random(len(self.proposals)), -self.worth()))
        return order[:count]

    def screened(self, screen: Screen, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Places of the best, in the order of what they would add by a screen's predictions."""
        places = self.best(count, rng)
        told = screen([self.proposals[place].drawn for place in places], rng)
        for place, predicted in zip(places.tolist(), told, strict=True):
            self.tell(place, predicted)
        order: NDArray[np.int64] = places[np.argsort(-self.worth()[places], kind="stable")]
        return order
