"""Differentiable search: one training of a network that mixes the operators of a space.

Space -> Relaxation -> MixedNetwork + Alphas -> Bilevel -> Found -> a trial like any other
"""

from optuna_nas.supernet.differentiable.alphas import Alphas
from optuna_nas.supernet.differentiable.cells import CellRelaxation
from optuna_nas.supernet.differentiable.mixed import MixedNetwork
from optuna_nas.supernet.differentiable.penalties import Entropy, ExpectedLatency, Penalty
from optuna_nas.supernet.differentiable.perturbation import Perturbation
from optuna_nas.supernet.differentiable.progress import Epoch, Found
from optuna_nas.supernet.differentiable.relax import relax
from optuna_nas.supernet.differentiable.relaxation import Choice, Relaxation
from optuna_nas.supernet.differentiable.search import DARTS
from optuna_nas.supernet.differentiable.stops import HessianStop, SkipStop
from optuna_nas.supernet.differentiable.weighting import Gumbel, Softmax

__all__ = [
    "DARTS",
    "Alphas",
    "CellRelaxation",
    "Choice",
    "Entropy",
    "Epoch",
    "ExpectedLatency",
    "Found",
    "Gumbel",
    "HessianStop",
    "MixedNetwork",
    "Penalty",
    "Perturbation",
    "Relaxation",
    "SkipStop",
    "Softmax",
    "relax",
]
