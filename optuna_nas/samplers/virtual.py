"""Networks that are only proposed: the space run with a trial that is in no study."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FixedTrial

from optuna_nas.exceptions import SpaceError
from optuna_nas.samplers.uniform import uniform
from optuna_nas.spaces.joint import training_parameters

__all__ = ["Draw", "Parent", "Proposal", "draw", "fits", "heir", "replay"]

Draw = Callable[[str, BaseDistribution], Any]
"""Parameter name and distribution -> value."""


class Parent(Protocol):
    """What a network inherits from."""

    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]


@dataclass(eq=False)
class Proposal:
    """A network that could be trained.

    Args:
        params: Its parameters.
        distributions: Their distributions.
        drawn: What the space returned for them; None where there is no space.
    """

    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    drawn: Any = None

    @property
    def identity(self) -> Any:
        """Equal for networks known to be equal, and trained alike."""
        digest = getattr(self.drawn, "digest", None)
        if digest is None:
            return frozenset(self.params.items())
        return digest, frozenset(training_parameters(self.params).items())


class _VirtualTrial(FixedTrial):
    """A trial whose values come from a function."""

    def __init__(self, draw: Draw) -> None:
        super().__init__({})
        self._draw = draw

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if name not in self._suggested_params:
            self._suggested_params[name] = self._draw(name, distribution)
            self._distributions[name] = distribution
        return self._suggested_params[name]


def draw(space: Callable[[Any], Any], values: Draw) -> Proposal:
    """Run a space with values from a function; what it builds has no weights in memory.

    Raises:
        SpaceError: The space cannot be run so.
    """
    import torch  # only here: a study without a space needs none

    trial = _VirtualTrial(values)
    try:
        with warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("ignore")
            drawn = space(trial)
    except Exception as error:
        raise SpaceError(
            "expected a space that can be run with a trial outside a study, on the meta device; "
            f"got {type(error).__name__}: {error}. Leave work on data or weights out of the "
            "space, or give the sampler no space"
        ) from error
    return Proposal(trial._suggested_params, trial._distributions, drawn)


def replay(space: Callable[[Any], Any], parent: Parent) -> Proposal:
    """Run a space with the parameters of a trial."""
    return draw(space, lambda name, _: parent.params[name])


def heir(parents: Sequence[Parent], mutation: float, rng: np.random.Generator) -> Draw:
    """Draw each parameter from one of the parents that have it, or anew.

    Args:
        parents: None of them for values that are all drawn anew.
        mutation: Probability that a parameter is drawn anew.
        rng: Where chance comes from.
    """

    def value(name: str, distribution: BaseDistribution) -> Any:
        carriers = [p for p in parents if name in p.params and fits(p.params[name], distribution)]
        if not carriers or rng.random() < mutation:
            return uniform(distribution, rng)
        return carriers[int(rng.random() * len(carriers))].params[name]

    return value


def fits(value: Any, distribution: BaseDistribution) -> bool:
    """Whether a distribution could have given a value."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (TypeError, ValueError):
        return False
