"""Neural architecture search as an Optuna plugin.

    trial -> Space -> Architecture -> Model -> Objectives -> Pruner -> Study -> Report -> Finalists

A space is an ordinary define-by-run function that draws an architecture from a trial; the search
builds it, measures what it costs, trains it with Lightning while the pruner watches, and leaves
everything in an Optuna study.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from optuna_nas import (
        backends,
        blocks,
        datasets,
        exceptions,
        finalists,
        model,
        objectives,
        predictors,
        pruners,
        reporting,
        samplers,
        spaces,
        supernet,
    )
    from optuna_nas.architecture import Architecture, Node
    from optuna_nas.exceptions import NASError
    from optuna_nas.model import build
    from optuna_nas.pruners.callback import PruningCallback
    from optuna_nas.pruners.curve import report, should_prune
    from optuna_nas.spaces.scope import scope
    from optuna_nas.study import Budget, Search

# Names are loaded when first used: importing this package costs neither torch nor plotly.
_HOME = {
    "Architecture": "optuna_nas.architecture",
    "Budget": "optuna_nas.study",
    "NASError": "optuna_nas.exceptions",
    "Node": "optuna_nas.architecture",
    "PruningCallback": "optuna_nas.pruners.callback",
    "Search": "optuna_nas.study",
    "build": "optuna_nas.model",
    "report": "optuna_nas.pruners.curve",
    "scope": "optuna_nas.spaces.scope",
    "should_prune": "optuna_nas.pruners.curve",
}
_MODULES = (
    "backends",
    "blocks",
    "datasets",
    "exceptions",
    "finalists",
    "model",
    "objectives",
    "predictors",
    "pruners",
    "reporting",
    "samplers",
    "spaces",
    "supernet",
)

__all__ = [
    "Architecture",
    "Budget",
    "NASError",
    "Node",
    "PruningCallback",
    "Search",
    "backends",
    "blocks",
    "build",
    "datasets",
    "exceptions",
    "finalists",
    "model",
    "objectives",
    "predictors",
    "pruners",
    "report",
    "reporting",
    "samplers",
    "scope",
    "should_prune",
    "spaces",
    "supernet",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
