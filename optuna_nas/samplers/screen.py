"""Predictions, learned from trials, of what takes too long to be told of every network."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, runtime_checkable

import numpy as np
import optuna
from numpy.typing import NDArray

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import NASError
from optuna_nas.pareto import losses
from optuna_nas.pruners.curve import bare
from optuna_nas.samplers.history import Network

__all__ = ["Learner", "Screen"]


@runtime_checkable
class Learner(Protocol):
    """What learns an objective, above 0, from networks, such as a latency predictor."""

    def fit(self, architectures: Sequence[Any], latencies: Sequence[float]) -> Any:
        """Learn from measured networks.

        Raises:
            NASError: There are too few, or they are none to learn from.
        """
        ...

    def predict(
        self, architectures: Sequence[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of each, two arrays (N,)."""
        ...


class Screen:
    """Predicts objectives that do not depend on training.

    Args:
        learners: Name of an objective -> what learns it; it is copied.
        study: The study that the objectives are of.
        networks: Networks that were measured (N).
        graphs: What the space returned for them (N); those that are no graph teach nothing.
    """

    def __init__(
        self,
        learners: Mapping[str, Learner],
        study: optuna.Study,
        networks: Sequence[Network],
        graphs: Sequence[Any],
    ) -> None:
        names = [bare(name) for name in study.metric_names or []]
        self._signs = losses([[1.0] * len(study.directions)], study.directions)[0]
        self._fitted: dict[int, Learner] = {}
        for name, learner in learners.items():
            place, fitted = names.index(name), copy.deepcopy(learner)
            values = [n.losses[max(n.losses)][place] * self._signs[place] for n in networks]
            measured = [
                (graph, value)
                for graph, value in zip(graphs, values, strict=True)
                if isinstance(graph, Architecture) and math.isfinite(value)
            ]
            with suppress(NASError):  # too few yet
                fitted.fit([graph for graph, _ in measured], [value for _, value in measured])
                self._fitted[place] = fitted

    def __call__(self, drawn: Sequence[Any], rng: np.random.Generator) -> list[dict[int, float]]:
        """Place of an objective -> a sample of what its loss may be, for each network.

        As in `Surrogate.expected`, half of the uncertainty is drawn. What is most uncertain is
        taken for half as large at least, not for nothing.
        """
        told: list[dict[int, float]] = [{} for _ in drawn]
        for place, learner in self._fitted.items():
            mean, deviation = learner.predict(drawn)
            sample = np.maximum(mean + deviation * rng.normal(size=len(mean)) / 2, mean / 2)
            values = sample * self._signs[place]
            for found, value in zip(told, values.tolist(), strict=True):
                found[place] = value
        return told
