"""Which networks of a supernet learn in a step; one way a file."""

from optuna_nas.supernet.drawing.best_up import BestUp
from optuna_nas.supernet.drawing.candidates import Candidates
from optuna_nas.supernet.drawing.drawing import DRAWINGS, Drawing, register
from optuna_nas.supernet.drawing.fair import Fair
from optuna_nas.supernet.drawing.sandwich import Sandwich
from optuna_nas.supernet.drawing.shrinking import Shrinking
from optuna_nas.supernet.drawing.uniform import Uniform

__all__ = [
    "DRAWINGS",
    "BestUp",
    "Candidates",
    "Drawing",
    "Fair",
    "Sandwich",
    "Shrinking",
    "Uniform",
    "register",
]
