"""network -> Timing: a guarded measurement of one forward pass, and the device it was made on."""

from optuna_nas.measuring.process import for_device
from optuna_nas.measuring.setup import PRECISIONS, Setup
from optuna_nas.measuring.timing import Goal, Timing

__all__ = ["PRECISIONS", "Goal", "Setup", "Timing", "for_device"]
