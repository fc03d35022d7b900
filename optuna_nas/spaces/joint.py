"""Networks and how they are trained, in one space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces.choice import ask_option, ask_size, check_options, check_sizes
from optuna_nas.spaces.scope import scope

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["Joint", "network_parameters", "training_parameters"]

PREFIX = "training"


@dataclass(frozen=True, init=False)
class Joint:
    """A space together with training hyperparameters.

    A trial has both; they are no part of the network's digest, and are part of the identity of
    its training. A Search gives them to its `module` as keyword arguments, `batch_size` to its
    data; `seed` is that of the weights and the training. Their parameters are named
    `training.<hyperparameter>`.

        Joint(CNN(), learning_rate=FloatDistribution(1e-3, 1e-1, log=True), batch_size=(32, 64))

    Args:
        space: Any space.
        **hyperparameters: What to choose from, by name: a FloatDistribution or IntDistribution
            of Optuna, sizes in a tuple, which have an order, or options (strings or booleans),
            which have none.

    Raises:
        SpaceError: No hyperparameter, or one with nothing to choose from.

    Source: Zela et al. 2018, arXiv:1807.06906, on why both are searched together.
    """

    space: Any
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    def __init__(self, space: Callable[[Any], Any], **hyperparameters: Any) -> None:
        if not callable(space):
            raise SpaceError(f"expected a space as the first argument, got {space!r}")
        if not hyperparameters:
            raise SpaceError("expected hyperparameters, such as learning_rate=..., got none")
        checked = {name: _checked(name, values) for name, values in hyperparameters.items()}
        object.__setattr__(self, "space", space)
        object.__setattr__(self, "hyperparameters", checked)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample that the networks take, where the space says one."""
        shape: tuple[int, ...] = self.space.input_shape
        return shape

    def __call__(self, trial: BaseTrial) -> Any:
        """Draw the hyperparameters, and what the space draws, which is returned."""
        self.training(trial)
        return self.space(trial)

    def training(self, trial: BaseTrial) -> dict[str, Any]:
        """The hyperparameters of a trial, by name; asked twice, the same."""
        inside = scope(trial, PREFIX)
        return {name: _ask(inside, name, values) for name, values in self.hyperparameters.items()}


def training_parameters(params: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a trial's parameters that are no part of its network, by their whole name."""
    return {name: value for name, value in params.items() if name.startswith(f"{PREFIX}.")}


def network_parameters(params: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a trial's parameters that are a part of its network, by their whole name."""
    return {name: value for name, value in params.items() if not name.startswith(f"{PREFIX}.")}


def _checked(name: str, values: Any) -> Any:
    if isinstance(values, FloatDistribution | IntDistribution):
        return values
    if isinstance(values, BaseDistribution) or not isinstance(values, Sequence):
        raise SpaceError(
            f"expected {name} as a FloatDistribution, an IntDistribution, or a tuple of values, "
            f"got {values!r}"
        )
    if values and isinstance(values[0], str | bool):
        return check_options(name, values, values)
    return check_sizes(name, values, low=0.0)


def _ask(trial: Any, name: str, values: Any) -> Any:
    if isinstance(values, FloatDistribution):
        return trial.suggest_float(name, values.low, values.high, step=values.step, log=values.log)
    if isinstance(values, IntDistribution):
        return trial.suggest_int(name, values.low, values.high, step=values.step, log=values.log)
    if isinstance(values[0], str | bool):
        return ask_option(trial, name, values)
    return ask_size(trial, name, values)
