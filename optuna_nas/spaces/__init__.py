"""Spaces: trial -> Architecture; the only code that calls `trial.suggest_*`.

A space is anything callable as `space(trial) -> Architecture | nn.Module`; a plain function will
do. Every module of this folder is imported here, so a file that registers a space is all that a
new space needs.
"""

import importlib
import pkgutil

from optuna_nas.spaces.cnn import CNN
from optuna_nas.spaces.hybrid import Hybrid
from optuna_nas.spaces.joint import Joint
from optuna_nas.spaces.macro import Macro
from optuna_nas.spaces.mlp import MLP
from optuna_nas.spaces.mobilenet import MobileNet
from optuna_nas.spaces.nasbench201 import NASBench201
from optuna_nas.spaces.scope import scope
from optuna_nas.spaces.space import SPACES, Space, register
from optuna_nas.spaces.transformer import Transformer
from optuna_nas.spaces.vit import ViT

__all__ = [
    "CNN",
    "MLP",
    "SPACES",
    "Hybrid",
    "Joint",
    "Macro",
    "MobileNet",
    "NASBench201",
    "Space",
    "Transformer",
    "ViT",
    "register",
    "scope",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
