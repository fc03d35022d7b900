"""What samplers have in common that hold something of each study."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

__all__ = ["HoldingSampler", "WalkingSampler"]

T = TypeVar("T")


class HoldingSampler(BaseSampler, ABC, Generic[T]):
    """Holds something of each study that follows from the storage.

    A copy, or a sampler in another process, begins without it.
    """

    def __init__(self) -> None:
        self._forget()

    @abstractmethod
    def begin(self, study: optuna.Study) -> T:
        """Make what is held of a study, when it is first needed."""

    def held(self, study: optuna.Study) -> T:
        """What is held of a study."""
        with self._lock:
            studies = self._held.setdefault(study._storage, {})
            if study._study_id not in studies:
                studies[study._study_id] = self.begin(study)
            return studies[study._study_id]

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_lock", "_held")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.RLock()
        self._held: WeakKeyDictionary[BaseStorage, dict[int, T]] = WeakKeyDictionary()


class WalkingSampler(HoldingSampler[T], ABC, Generic[T]):
    """Draws every parameter when the space asks for it."""

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return an empty space: every parameter is drawn when the space asks for it."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw each parameter of a given space as `sample_independent` does."""
        return {
            name: self.sample_independent(study, trial, name, distribution)
            for name, distribution in search_space.items()
        }
