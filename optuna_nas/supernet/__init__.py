"""Supernets: one training for all networks of a space, which then inherit its weights."""

from optuna_nas.supernet.alternation import Alternation
from optuna_nas.supernet.drawing import DRAWINGS, Drawing, Fair, Sandwich, Shrinking, Uniform
from optuna_nas.supernet.fine_tuned import FineTuned
from optuna_nas.supernet.one_shot import OneShot
from optuna_nas.supernet.scoring import evaluate, recalibrate, score
from optuna_nas.supernet.store import SharedWeights
from optuna_nas.supernet.subnet import Subnet
from optuna_nas.supernet.supernet import Paths, Supernet
from optuna_nas.supernet.training import Trained, train

__all__ = [
    "DRAWINGS",
    "Alternation",
    "Drawing",
    "Fair",
    "FineTuned",
    "OneShot",
    "Paths",
    "Sandwich",
    "SharedWeights",
    "Shrinking",
    "Subnet",
    "Supernet",
    "Trained",
    "Uniform",
    "evaluate",
    "recalibrate",
    "score",
    "train",
]
