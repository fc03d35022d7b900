"""A latency predictor learned from the networks that were measured so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import optuna

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import MeasurementError
from optuna_nas.model.configuration import configurations
from optuna_nas.predictors.operators import work
from optuna_nas.predictors.predictor import Additive, Values

__all__ = ["LearnedLatency"]


class LearnedLatency:
    """Latency as a sum over the operators that a network calls, learned from measured networks.

    The features of a network are the calls, FLOPs, elements and weights of each operator (see
    `operators.work`); each has a cost in ms, which is not negative (see `Additive`). Nothing is
    computed or timed to predict: the shapes are enough. A network with an operator that none of
    the measured ones has is as uncertain as the slowest of these is slow.

    Args:
        input_shape: Shape of one sample that the networks take.
        outputs: Values per sample that they return.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        self.input_shape = tuple(input_shape)
        self.outputs = outputs

    def fit(
        self, architectures: Sequence[Architecture], latencies: Sequence[float] | Values
    ) -> LearnedLatency:
        """Learn from measured networks; what was learned before is forgotten.

        Args:
            architectures: The networks.
            latencies: What was measured of each, in ms.

        Raises:
            MeasurementError: Too few networks, or as many latencies as there are not networks.
            SpaceError: A module, of which the operators are not known, or one that does not fit.
        """
        measured = np.asarray(latencies, dtype=float)
        if measured.shape != (len(architectures),):
            raise MeasurementError(
                f"expected one latency for each of {len(architectures)} networks, got an array of "
                f"shape {measured.shape}"
            )
        if wrong := measured[~(np.isfinite(measured) & (measured > 0))].tolist():
            raise MeasurementError(f"expected finite latencies above 0 ms, got {wrong}")
        found = [self._work(architecture) for architecture in architectures]
        features = sorted({name for amounts in found for name in amounts})
        self.model = Additive().fit(_matrix(found, features), measured)
        self.features, self.slowest = features, float(measured.max())
        return self

    def fit_study(self, study: optuna.Study, name: str = "latency") -> LearnedLatency:
        """Learn from what a study has measured so far, each network once.

        Args:
            study: A study of a `Search` whose space returns architectures.
            name: Name of the objective, or constraint, that is the latency.

        Raises:
            MeasurementError: Too few trials have measured it.
        """
        known: dict[str, tuple[Architecture, float]] = {}
        for trial in study.get_trials(deepcopy=False):
            measured = trial.user_attrs.get("measurements", {}).get(name)
            graph = trial.user_attrs.get("architecture")
            if measured and graph:
                architecture = Architecture.from_json(graph)
                known.setdefault(architecture.digest, (architecture, measured["value"]))
        architectures, latencies = zip(*known.values(), strict=True) if known else ((), ())
        return self.fit(architectures, latencies)

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Values, Values]:
        """Predict latencies.

        Returns:
            Mean and standard deviation of each, in ms, two arrays (N,).

        Raises:
            MeasurementError: Nothing was learned yet.
            SpaceError: A network that does not fit the input.
        """
        if not hasattr(self, "model"):
            raise MeasurementError("expected a fitted predictor; call fit or fit_study first")
        found = [self._work(architecture) for architecture in architectures]
        mean, deviation = self.model.predict(_matrix(found, self.features))
        unknown = np.array([not amounts.keys() <= set(self.features) for amounts in found])
        return mean, np.hypot(deviation, self.slowest * unknown)

    def _work(self, architecture: Architecture) -> dict[str, float]:
        return work(configurations(architecture, self.input_shape, self.outputs))


def _matrix(found: Sequence[dict[str, float]], features: Sequence[str]) -> Values:
    rows = [[amounts.get(name, 0.0) for name in features] for amounts in found]
    return np.array(rows).reshape(len(found), len(features))
