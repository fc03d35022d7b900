"""What finalists have to beat, under the same recipe: the space's average, size alone, known nets.

Source: Yu et al. 2020, arXiv:1902.08142, and Yang et al. 2020, arXiv:1912.12522, on how often a
search does not beat networks drawn at random from its space.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from optuna_nas.exceptions import SpaceError
from optuna_nas.finalists.finalist import Finalist
from optuna_nas.finalists.references import Reference, references, scaled
from optuna_nas.objectives import STAGES, Candidate
from optuna_nas.samplers.virtual import draw, heir
from optuna_nas.spaces import Joint
from optuna_nas.spaces.given import Given
from optuna_nas.spaces.joint import network_parameters
from optuna_nas.study import Search
from optuna_nas.study.record import Record

__all__ = ["average", "baselines"]

DRAWS = 200
"""Networks that are drawn to find some within the caps."""


def baselines(
    search: Search,
    found: Sequence[Record],
    count: int,
    own: Mapping[str, Callable[[], nn.Module]],
) -> list[Finalist]:
    """Networks to compare the finalists of a search with.

    Args:
        search: The search.
        found: The finalists' trials; the control is as large as the first of them.
        count: How many stand for the average of the space.
        own: References of the user's, name -> what makes one.
    """
    others = [_own(name, make) for name, make in own.items()]
    known = references(search.input_shape, search.outputs) if search.outputs is not None else {}
    others += [Finalist(name, "reference", reference) for name, reference in known.items()]
    return [*average(search, count), *_controls(known, found), *others]


def average(search: Search, count: int) -> list[Finalist]:
    """Networks drawn at random from the space, within the caps that need no measuring device.

    Args:
        search: The search.
        count: How many.

    Raises:
        SpaceError: Too few of those drawn keep the caps, or the space cannot be drawn from.
    """
    kept = list(_within(search, count))
    if len(kept) < count:
        raise SpaceError(
            f"expected {count} random networks within the caps, got {len(kept)} of {DRAWS}; ask "
            "for fewer, or loosen the caps"
        )
    return kept


def _within(search: Search, count: int) -> Iterator[Finalist]:
    rng = np.random.default_rng(search.seed)
    space = search.space.space if isinstance(search.space, Joint) else search.space
    known = 0
    for _ in range(DRAWS):
        if known == count:
            return
        found = draw(space, heir((), 1.0, rng))
        given = Given(space, network_parameters(found.params))
        if _keeps(search, Candidate(found.drawn, search.input_shape, search.outputs)):
            known += 1
            yield Finalist(f"random {known}", "average", given)


def _keeps(search: Search, candidate: Candidate) -> bool:
    for objective in search.measured:
        capped = objective.max is not None or objective.min is not None
        if capped and not objective.on_device and objective.stage != STAGES[-1]:
            violation = objective.violation(objective(candidate).value)
            if violation is not None and violation > 0:
                return False
    return True


def _controls(known: Mapping[str, Reference], found: Sequence[Record]) -> list[Finalist]:
    size = found[0].parameters if found else None
    if size is None or not known:
        return []
    name, reference = next(iter(known.items()))
    return [Finalist(f"{name} of equal size", "control", scaled(reference, size))]


@dataclass(frozen=True)
class _Made:
    """A space with the one network that a function makes."""

    make: Callable[[], nn.Module]

    def __call__(self, trial: object) -> nn.Module:
        return self.make()


def _own(name: str, make: Callable[[], nn.Module]) -> Finalist:
    return Finalist(name, "reference", _Made(make))
