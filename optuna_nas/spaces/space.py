"""What every space is, and the registry of ready-made ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from optuna_nas.architecture import Architecture
from optuna_nas.names import registrar

if TYPE_CHECKING:
    from optuna.trial import BaseTrial
    from torch import nn

__all__ = ["SPACES", "Space", "register"]


class Space(Protocol):
    """Anything that draws a network from a trial.

    One parameter name has one distribution for ever, and two sets of parameters never mean one
    network, unless it has the same digest.
    """

    def __call__(self, trial: BaseTrial, /) -> Architecture | nn.Module: ...


SPACES: dict[str, type[Any]] = {}
"""Name -> class of a ready-made space, whose constructor arguments all have defaults."""

register = registrar("space", SPACES)
"""Decorator `register(name)`: makes a class of spaces known under a name."""
