"""A space, written out."""

from collections.abc import Callable

import optuna

from optuna_nas.architecture import Architecture
from optuna_nas.samplers.enumeration import Enumeration


def every_set(space: Callable[[optuna.Trial], Architecture]) -> list[Architecture]:
    """What a small space returns for every set of parameters."""
    return [found.drawn for found in Enumeration(space) if found is not None]
