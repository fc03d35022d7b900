"""Backends: network -> a callable that runs one forward pass, as it would be deployed.

Every module of this folder is imported here, so a file that registers a backend is all that a new
backend needs. None of them loads ONNX or ONNX Runtime before it is used.
"""

import importlib
import pkgutil

from optuna_nas.backends.backend import BACKENDS, Backend, Run, find, register
from optuna_nas.backends.export import export_onnx
from optuna_nas.backends.quantization import quantize
from optuna_nas.backends.session import session
from optuna_nas.backends.supported import supported_blocks

__all__ = [
    "BACKENDS",
    "Backend",
    "Run",
    "export_onnx",
    "find",
    "quantize",
    "register",
    "session",
    "supported_blocks",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
