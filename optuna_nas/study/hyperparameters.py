"""Where training hyperparameters go that a trial draws beside its network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from optuna.distributions import FloatDistribution, IntDistribution
from torch import nn

from optuna_nas.exceptions import DescriptionError
from optuna_nas.model import Classifier, Regressor

__all__ = ["BATCH_SIZE", "OURS", "SEED", "check_hyperparameters"]

BATCH_SIZE = "batch_size"
"""The one that is the data's, as in Lightning."""
SEED = "seed"
"""The one that is the trial's: of the weights and of everything random in the training."""
OURS = frozenset({BATCH_SIZE, SEED})
"""Those that are not the module's."""


def check_hyperparameters(
    choices: Mapping[str, Any], module: Callable[..., Any], data: Any
) -> None:
    """Refuse hyperparameters that nobody takes, or values that our own recipes do not take.

    Args:
        choices: Name -> what a `Joint` space chooses from.
        module: Makes a LightningModule of a network and hyperparameters.
        data: The LightningDataModule.

    Raises:
        DescriptionError: The module has no such argument or refuses a value, or the data has no
            `batch_size`.
    """
    if BATCH_SIZE in choices and not hasattr(data, BATCH_SIZE):
        raise DescriptionError(
            f"expected data with an attribute {BATCH_SIZE!r}, which a trial can set, got "
            f"{type(data).__name__} without; add it, and read it in train_dataloader"
        )
    _check_names(set(choices) - OURS, module)
    if (module.func if isinstance(module, partial) else module) in (Classifier, Regressor):
        for name, value in _extremes(choices):
            module(nn.Identity(), **{name: value})


def _check_names(names: set[str], module: Callable[..., Any]) -> None:
    network, *taken = inspect.signature(module).parameters.values()
    if any(parameter.kind == parameter.VAR_KEYWORD for parameter in taken):
        return
    known = {parameter.name for parameter in taken}
    if unknown := sorted(names - known):
        raise DescriptionError(
            f"expected hyperparameters among {', '.join(sorted({*known, *OURS}))}, which "
            f"the module takes beside the {network.name}, got {', '.join(unknown)}"
        )


def _extremes(choices: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The ends of every range, and every option: what is between the ends is as legal as they."""
    for name, values in choices.items():
        if isinstance(values, FloatDistribution | IntDistribution):
            values = (values.low, values.high)
        if name not in OURS:
            yield from ((name, value) for value in values)
