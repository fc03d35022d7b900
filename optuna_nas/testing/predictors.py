"""Laws of a latency predictor."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import numpy as np

from optuna_nas.architecture import Architecture
from optuna_nas.predictors import Predictor

__all__ = ["PredictorConformance"]


class PredictorConformance:
    """Laws of a predictor.

    Subclass it with fixtures `predictor`, ready to predict, and `architectures`, several that it
    can predict.
    """

    def test_it_predicts_a_mean_and_a_deviation_in_ms_for_each(
        self, predictor: Predictor, architectures: Sequence[Architecture]
    ) -> None:
        mean, deviation = predictor.predict(architectures)
        assert mean.shape == deviation.shape == (len(architectures),)
        assert np.isfinite(mean).all() and (mean > 0).all()
        assert np.isfinite(deviation).all() and (deviation >= 0).all()

    def test_a_prediction_does_not_depend_on_the_others(
        self, predictor: Predictor, architectures: Sequence[Architecture]
    ) -> None:
        together = np.array(predictor.predict(architectures))
        alone = [np.array(predictor.predict([architecture])) for architecture in architectures]
        np.testing.assert_allclose(np.hstack(alone), together, atol=1e-9)

    def test_nothing_is_predicted_for_nothing(self, predictor: Predictor) -> None:
        mean, deviation = predictor.predict([])
        assert mean.shape == deviation.shape == (0,)

    def test_names_of_nodes_do_not_count(
        self, predictor: Predictor, architectures: Sequence[Architecture]
    ) -> None:
        chained = [
            Architecture.chain((f"renamed_{n.name}", n.kind, n.args) for n in a.nodes)
            for a in architectures
            if a == Architecture.chain((n.name, n.kind, n.args) for n in a.nodes)
        ]
        same = [a for a in architectures if a.digest in {c.digest for c in chained}]
        np.testing.assert_allclose(predictor.predict(chained), predictor.predict(same))

    def test_a_pickled_copy_predicts_the_same(
        self, predictor: Predictor, architectures: Sequence[Architecture]
    ) -> None:
        copy = pickle.loads(pickle.dumps(predictor))
        np.testing.assert_allclose(copy.predict(architectures), predictor.predict(architectures))
