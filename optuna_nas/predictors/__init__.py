"""Predictors: Architecture -> latency in ms, with its uncertainty, where measuring is too slow.

A predictor is anything with `predict(architectures) -> (mean, standard deviation)`, both in ms.
"""

from optuna_nas.predictors.build import Building, build_table, complete
from optuna_nas.predictors.learned import LearnedLatency
from optuna_nas.predictors.predictor import Predictor
from optuna_nas.predictors.table import LatencyTable

__all__ = [
    "Building",
    "LatencyTable",
    "LearnedLatency",
    "Predictor",
    "build_table",
    "complete",
]
