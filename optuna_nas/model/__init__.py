"""Model: Architecture -> `nn.Module` -> LightningModule."""

from optuna_nas.model.build import build
from optuna_nas.model.classifier import Classifier
from optuna_nas.model.metrics import METRICS
from optuna_nas.model.network import Network

__all__ = ["METRICS", "Classifier", "Network", "build"]
