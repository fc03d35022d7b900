"""The search itself: storage, resume, records."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from optuna_nas.study.budget import Budget

if TYPE_CHECKING:
    from optuna_nas.study.search import Search

__all__ = ["Budget", "Search"]


def __getattr__(name: str) -> Any:
    if name == "Search":  # it needs torch, which reading a study's records does not
        return importlib.import_module("optuna_nas.study.search").Search
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
