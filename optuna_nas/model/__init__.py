"""Model: Architecture -> `nn.Module` -> LightningModule."""

from optuna_nas.model.augmentation import augment
from optuna_nas.model.build import build
from optuna_nas.model.classifier import Classifier
from optuna_nas.model.metrics import METRICS
from optuna_nas.model.network import Network
from optuna_nas.model.recipe import OPTIMISERS, Recipe
from optuna_nas.model.regressor import Regressor

__all__ = [
    "METRICS",
    "OPTIMISERS",
    "Classifier",
    "Network",
    "Recipe",
    "Regressor",
    "augment",
    "build",
]
