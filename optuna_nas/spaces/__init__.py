"""Spaces: trial -> Architecture; the only code that calls `trial.suggest_*`.

A space is anything callable as `space(trial) -> Architecture | nn.Module`; a plain function will
do. Every module of this folder is imported here, so a file that registers a space is all that a
new space needs.
"""

import importlib
import pkgutil

from optuna_nas.spaces.cnn import CNN
from optuna_nas.spaces.darts import DARTS
from optuna_nas.spaces.genotype import Genotype
from optuna_nas.spaces.hybrid import Hybrid
from optuna_nas.spaces.joint import Joint
from optuna_nas.spaces.macro import Macro
from optuna_nas.spaces.matrix_cell import MatrixCell
from optuna_nas.spaces.mlp import MLP
from optuna_nas.spaces.mobilenet import MobileNet
from optuna_nas.spaces.nasbench101 import NASBench101
from optuna_nas.spaces.nasbench201 import NASBench201
from optuna_nas.spaces.scope import scope
from optuna_nas.spaces.space import SPACES, Space, register
from optuna_nas.spaces.transformer import Transformer
from optuna_nas.spaces.vit import ViT

__all__ = [
    "CNN",
    "DARTS",
    "MLP",
    "SPACES",
    "Genotype",
    "Hybrid",
    "Joint",
    "Macro",
    "MatrixCell",
    "MobileNet",
    "NASBench101",
    "NASBench201",
    "Space",
    "Transformer",
    "ViT",
    "register",
    "scope",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
