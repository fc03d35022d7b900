"""Datasets: LightningDataModules with locked train, validation and test splits.

Every module of this folder is imported here, so a file that registers a dataset is all that a new
dataset needs.
"""

import importlib
import pkgutil

from optuna_nas.datasets.arrays import ArrayDataModule
from optuna_nas.datasets.characters import Characters
from optuna_nas.datasets.digits import Digits
from optuna_nas.datasets.facts import fingerprint, input_shape, outputs
from optuna_nas.datasets.registry import DATASETS, register

__all__ = [
    "DATASETS",
    "ArrayDataModule",
    "Characters",
    "Digits",
    "fingerprint",
    "input_shape",
    "outputs",
    "register",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
