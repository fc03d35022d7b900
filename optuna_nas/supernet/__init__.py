"""Supernets: one training for all networks of a space; search by gradients over its operators."""

from optuna_nas.supernet.alternation import Alternation
from optuna_nas.supernet.differentiable import (
    DARTS,
    Entropy,
    ExpectedLatency,
    Found,
    Gumbel,
    HessianStop,
    Perturbation,
    SkipStop,
    Softmax,
)
from optuna_nas.supernet.drawing import (
    DRAWINGS,
    BestUp,
    Candidates,
    Drawing,
    Fair,
    Sandwich,
    Shrinking,
    Uniform,
)
from optuna_nas.supernet.fine_tuned import FineTuned
from optuna_nas.supernet.one_shot import OneShot
from optuna_nas.supernet.scoring import evaluate, recalibrate, score
from optuna_nas.supernet.store import SharedWeights
from optuna_nas.supernet.subnet import Subnet
from optuna_nas.supernet.supernet import Paths, Supernet
from optuna_nas.supernet.training import Trained, train

__all__ = [
    "DARTS",
    "DRAWINGS",
    "Alternation",
    "BestUp",
    "Candidates",
    "Drawing",
    "Entropy",
    "ExpectedLatency",
    "Fair",
    "FineTuned",
    "Found",
    "Gumbel",
    "HessianStop",
    "OneShot",
    "Paths",
    "Perturbation",
    "Sandwich",
    "SharedWeights",
    "Shrinking",
    "SkipStop",
    "Softmax",
    "Subnet",
    "Supernet",
    "Trained",
    "Uniform",
    "evaluate",
    "recalibrate",
    "score",
    "train",
]
