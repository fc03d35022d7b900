"""Supernets: one training for all networks of a space, which then inherit its weights."""

from optuna_nas.supernet.drawing import DRAWINGS, Drawing, Fair, Sandwich, Shrinking, Uniform
from optuna_nas.supernet.scoring import evaluate, recalibrate, score
from optuna_nas.supernet.store import SharedWeights
from optuna_nas.supernet.subnet import Subnet
from optuna_nas.supernet.supernet import Paths, Supernet

__all__ = [
    "DRAWINGS",
    "Drawing",
    "Fair",
    "Paths",
    "Sandwich",
    "SharedWeights",
    "Shrinking",
    "Subnet",
    "Supernet",
    "Uniform",
    "evaluate",
    "recalibrate",
    "score",
]
