"""The graph of a network, from storage."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import SpaceError

__all__ = ["graph"]


def graph(stored: Mapping[str, Any] | None) -> Architecture | None:
    """The architecture that a trial left; None where there is none, or none we can read."""
    with suppress(SpaceError):
        return None if stored is None else Architecture.from_json(stored)
    return None
