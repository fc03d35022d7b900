"""The networks of a space of which a supernet may train."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution
from scipy.stats import rankdata

from optuna_nas.exceptions import SpaceError
from optuna_nas.objectives import Candidate, FLOPs, Objective, Parameters
from optuna_nas.objectives.objective import keeps
from optuna_nas.samplers.uniform import generator, uniform
from optuna_nas.samplers.virtual import draw
from optuna_nas.supernet.extent import Extent

if TYPE_CHECKING:
    from optuna_nas.supernet.store import SharedWeights

__all__ = ["Candidates", "Params"]

Params = Mapping[str, Any]
"""Parameters of a space, which stand for a network."""

ATTEMPTS = 5000
"""Networks drawn in place of one that breaks a cap, at most: enough where 1 in 300 keeps it."""


POOL = 1000
"""Networks that are ordered by size."""


class Candidates:
    """The networks of a space that keep caps, as a function of a seed.

    Args:
        store: The weights that they share.
        seed: Of what is drawn at random.
        caps: Quantities whose caps they keep; known without weights, such as `FLOPs(max=6e6)`.
    """

    def __init__(
        self, store: SharedWeights, seed: int = 0, caps: tuple[Objective, ...] = ()
    ) -> None:
        self.seed = seed
        self._store = store
        self._caps = caps

    @property
    def extent(self) -> Extent:
        """What was seen of the space."""
        return self._store.extent

    def keep(self, params: Params) -> bool:
        """Whether a network keeps the caps."""
        return not self._caps or keeps(self._caps, self._candidate(params))

    def kept(self, params: Params, *place: int) -> Params:
        """A network, or one drawn uniformly in its place where it breaks a cap.

        Args:
            params: Parameters of the network.
            place: Numbers that tell this draw from others, such as the step and the path.

        Raises:
            SpaceError: No network is found that keeps the caps.
        """
        return params if self.keep(params) else self.at_random(*place, 0)

    def at_random(self, *place: int) -> Params:
        """Parameters drawn uniformly for one network.

        Args:
            place: Numbers that tell this draw from others, such as the step and the path.

        Raises:
            SpaceError: No network is found that keeps the caps.
        """
        rng = generator("path", self.seed, *place)

        def value(_: str, distribution: BaseDistribution) -> Any:
            return uniform(distribution, rng)

        for _ in range(ATTEMPTS):
            params = draw(self.extent.space, value).params
            if self.keep(params):
                return params
        raise SpaceError(
            "expected the space to have networks to train a supernet on that keep the caps on "
            f"{', '.join(cap.name for cap in self._caps)}, got none of {ATTEMPTS} drawn at "
            "random; loosen the caps, or narrow the space"
        )

    @cached_property
    def by_size(self) -> list[Params]:
        """A thousand networks drawn uniformly, from the smallest to the largest.

        Ordered by the sum of their ranks by parameters and by FLOPs.
        """
        drawn = [self.at_random(number) for number in range(POOL)]
        candidates = list(map(self._candidate, drawn))
        quantities = (Parameters(), FLOPs())
        ranks = [rankdata([q(c).value for c in candidates]) for q in quantities]
        return [drawn[place] for place in np.argsort(np.sum(ranks, axis=0), kind="stable")]

    def _candidate(self, params: Params) -> Candidate:
        outputs = self.extent.outputs if self.extent.graphs else None  # a module brings its own
        return Candidate(self._store.draw(params), self.extent.input_shape, outputs)
