"""One network of a space, as a space of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import BaseTrial, FixedTrial

__all__ = ["Given"]


@dataclass(frozen=True)
class Given:
    """The network that a space draws with these parameters, and no other.

    Args:
        space: Any space.
        params: Parameters of one of its trials, by name; none of a function that asks for none.
    """

    space: Callable[[Any], Any]
    params: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, trial: BaseTrial) -> Any:
        """Draw it, whatever the trial is."""
        return self.space(FixedTrial(dict(self.params)))
