"""Training each network on from the weights that it inherits.

Source: Cai et al. 2020 (Once-for-all), arXiv:1908.09791.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import optuna

from optuna_nas.objectives import Candidate
from optuna_nas.study.estimator import Estimation
from optuna_nas.study.from_scratch import FromScratch, Training
from optuna_nas.study.training import OnEpoch
from optuna_nas.supernet.one_shot import shared_weights
from optuna_nas.supernet.store import SharedWeights, fingerprint_of, read

if TYPE_CHECKING:
    from optuna_nas.study.definition import Definition
    from optuna_nas.study.search import Search
    from optuna_nas.study.trial import TrialRun

__all__ = ["FineTuned"]


@dataclass(frozen=True)
class FineTuned(FromScratch):
    """Trains networks as `FromScratch` does, but from weights inherited from a supernet.

    Args:
        weights: File with the supernet's weights, which `SharedWeights.save` wrote.
        space: The space that shares them, where the search draws from a part of it.

    Raises:
        SpaceError: It wrote no such file; or, when the search begins, one for another space.
    """

    weights: str | os.PathLike[str]
    space: Callable[[Any], Any] | None = None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the weights, in hexadecimal."""
        return fingerprint_of(read(self.weights)["weights"])

    def describe(self, search: Definition) -> dict[str, Any]:
        described = {"class": type(self).__qualname__, "weights": self.fingerprint}
        return {"estimator": described, **super().describe(search)}

    def prepare(self, search: Search, study: optuna.Study, on_epoch: OnEpoch | None) -> None:
        """Load the weights."""
        if not self._loaded:
            whole = search if self.space is None else replace(search, space=self.space)
            store = shared_weights(whole)
            store.load(self.weights)
            self._loaded.append(store)

    def begin(self, run: TrialRun, identity: str) -> Estimation:
        run.note("estimator", {"name": "fine-tuned", "weights": self.fingerprint})
        return _FineTuning(run, identity, self._loaded[0])

    @cached_property
    def _loaded(self) -> list[SharedWeights]:
        """The weights, once they are needed."""
        return []


class _FineTuning(Training):
    """The training of one trial's network from inherited weights.

    Args:
        run: The trial.
        identity: Of the training.
        store: The weights.
    """

    def __init__(self, run: TrialRun, identity: str, store: SharedWeights) -> None:
        super().__init__(run, identity)
        self._store = store

    def __call__(self, candidate: Candidate) -> Mapping[str, float]:
        candidate.network = self._store.extract(candidate.drawn)
        return super().__call__(candidate)
