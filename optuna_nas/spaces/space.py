"""What every space is, and the registry of ready-made ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import SpaceError

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

_S = TypeVar("_S", bound=type[Any])


def register(name: str) -> Callable[[_S], _S]:
    """Make a class of spaces known under a name.

    Raises:
        SpaceError: The name belongs to another class.
    """

    def add(space: _S) -> _S:
        known = SPACES.setdefault(name, space)
        if (known.__module__, known.__qualname__) != (space.__module__, space.__qualname__):
            raise SpaceError(
                f"expected an unused name of a space, got {name!r}, which is "
                f"{known.__qualname__} of {known.__module__}; choose another name"
            )
        SPACES[name] = space
        return space

    return add
