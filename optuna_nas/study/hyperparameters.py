"""Where training hyperparameters go that a trial draws beside its network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from optuna_nas.exceptions import DescriptionError

__all__ = ["BATCH_SIZE", "check_hyperparameters"]

BATCH_SIZE = "batch_size"
"""The one that is the data's, as in Lightning; all others are the module's."""


def check_hyperparameters(names: Iterable[str], module: Callable[..., Any], data: Any) -> None:
    """Refuse hyperparameters that nobody takes.

    Args:
        names: Of the hyperparameters.
        module: Makes a LightningModule of a network and hyperparameters.
        data: The LightningDataModule.

    Raises:
        DescriptionError: The module has no such argument, or the data no `batch_size`.
    """
    names = set(names)
    if BATCH_SIZE in names and not hasattr(data, BATCH_SIZE):
        raise DescriptionError(
            f"expected data with an attribute {BATCH_SIZE!r}, which a trial can set, got "
            f"{type(data).__name__} without; add it, and read it in train_dataloader"
        )
    network, *taken = inspect.signature(module).parameters.values()
    if any(parameter.kind == parameter.VAR_KEYWORD for parameter in taken):
        return
    known = {parameter.name for parameter in taken}
    if unknown := sorted(names - known - {BATCH_SIZE}):
        raise DescriptionError(
            f"expected hyperparameters among {', '.join(sorted({*known, BATCH_SIZE}))}, which "
            f"the module takes beside the {network.name}, got {', '.join(unknown)}"
        )
