"""Supernets: one training for all networks of a space; search by gradients over its operators."""

from optuna_nas.supernet.differentiable import (
    DARTS,
    Entropy,
    ExpectedLatency,
    Found,
    Gumbel,
    HessianStop,
    SkipStop,
    Softmax,
)
from optuna_nas.supernet.drawing import DRAWINGS, Drawing, Fair, Sandwich, Shrinking, Uniform
from optuna_nas.supernet.scoring import recalibrate, score
from optuna_nas.supernet.store import SharedWeights
from optuna_nas.supernet.subnet import Subnet
from optuna_nas.supernet.supernet import Paths, Supernet

__all__ = [
    "DARTS",
    "DRAWINGS",
    "Drawing",
    "Entropy",
    "ExpectedLatency",
    "Fair",
    "Found",
    "Gumbel",
    "HessianStop",
    "Paths",
    "Sandwich",
    "SharedWeights",
    "Shrinking",
    "SkipStop",
    "Softmax",
    "Subnet",
    "Supernet",
    "Uniform",
    "recalibrate",
    "score",
]
