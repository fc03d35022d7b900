"""Every set of parameters of a small space."""

from __future__ import annotations

from math import comb
from typing import Any

from optuna_nas.architecture import Architecture
from optuna_nas.samplers.enumeration import Enumeration


def everything(space: Any) -> list[Architecture]:
    """The network of every set of parameters."""
    found = list(Enumeration(space))
    assert all(proposal is not None for proposal in found)
    return [proposal.drawn for proposal in found if proposal is not None]


def placed(most: int, places: int) -> int:
    """Ways to put at most so many halvings on so many places."""
    return sum(comb(places, halvings) for halvings in range(min(most, places) + 1))
