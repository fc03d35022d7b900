"""Which block configurations a space has, found by drawing from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import optuna

from optuna_nas.architecture import Architecture
from optuna_nas.model.configuration import Configuration, configurations
from optuna_nas.spaces.draws import random_trials

__all__ = ["Scan", "scan"]

PATIENCE = 500
"""Networks in a row that must bring nothing new before a scan ends."""


@dataclass
class Scan:
    """What was seen of a space.

    Args:
        counts: Block configuration -> nodes drawn that had it.
        first: The first networks drawn, no two alike.
        news: For each network drawn, whether it had a configuration not seen before.
    """

    counts: Counter[Configuration] = field(default_factory=Counter)
    first: list[Architecture] = field(default_factory=list)
    news: list[bool] = field(default_factory=list)

    @property
    def unseen(self) -> float:
        """Share of the last networks drawn that had a configuration not seen before.

        About this share of the space's networks has a block that the scan has not met.
        """
        last = self.news[-PATIENCE:]
        return sum(last) / len(last)


def scan(
    space: Callable[[optuna.Trial], Any],
    input_shape: tuple[int, ...],
    outputs: int,
    *,
    samples: int,
    first: int = 0,
    seed: int = 0,
) -> Scan:
    """Draw networks uniformly until none brings a new block configuration.

    Args:
        space: Draws an `Architecture` from a trial.
        input_shape: Shape of one sample.
        outputs: Values per sample that a network returns.
        samples: Networks to draw at most.
        first: How many of the networks to keep, no two alike.
        seed: Of the drawing.

    Raises:
        SpaceError: The space returns modules, or a network that does not fit the input.
    """
    found = Scan()
    kept: dict[str, Architecture] = {}
    trials = random_trials(seed)
    while len(found.news) < samples and (len(found.news) < PATIENCE or found.unseen):
        architecture = space(next(trials))
        nodes = configurations(architecture, input_shape, outputs)
        found.news.append(not found.counts.keys() >= set(nodes))
        found.counts.update(nodes)
        if len(kept) < first:
            kept.setdefault(architecture.digest, architecture)
    found.first = list(kept.values())
    return found
