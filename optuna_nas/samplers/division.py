"""How training is divided between networks that are new and those paused at a rung."""

from __future__ import annotations

import math
from collections.abc import Iterable

from optuna.pruners import BasePruner, NopPruner

from optuna_nas.pruners.freeze_thaw import FreezeThaw
from optuna_nas.samplers.history import END, Network

__all__ = ["first_networks", "new_is_due", "share_through"]

STARTING = 2.5
"""Full trainings that the networks drawn at random at the start may cost, if they are not too few
to learn from."""
FEWEST = 5
"""Networks to learn from, for each objective that has to be learned."""
TELLING = 0.35
"""Share of the variance at the end that a first rung which costs nothing has to tell, or some
networks are trained to their end at once."""
NOTHING = 0.15
"""The same share, below which all are: a rung that tells nothing may seem to tell as much."""
NEW_PER_OLD = 0.5
"""Steps spent on new networks for each spent on taking up paused ones, at most."""


def first_networks(pruner: BasePruner, most: int, learned: int) -> int:
    """Networks to draw at random at the start: fewer where their first step is dear.

    Args:
        pruner: Tells how dear it is.
        most: Networks to draw where it is not.
        learned: Objectives that are not known without training.
    """
    price = 1.0 if isinstance(pruner, NopPruner) else _price(pruner)
    return min(most, max(math.ceil(STARTING / price), FEWEST * learned)) if price else most


def share_through(pruner: FreezeThaw, told: float) -> float:
    """Share of networks that are trained to their end at once.

    Args:
        pruner: Pauses the others.
        told: Share of the variance at the end that the first rung tells.
    """
    needed = TELLING + (1 - TELLING) * _price(pruner)
    return min(max((needed - told) / (needed - NOTHING), 0.0), 1.0)


def new_is_due(networks: Iterable[Network], pruner: FreezeThaw, start: int, told: float) -> bool:
    """Whether less was spent on new networks, up to their first rung, than is their share.

    Networks that went through to their end do not count.

    Args:
        networks: All networks.
        pruner: Pauses them.
        start: Networks drawn at random at the start.
        told: Share of the variance at the end that the first rung tells.
    """
    step = pruner.steps[0]
    pausing = [network for network in networks if not network.through]
    spent = [max((s for s in n.losses if s < END), default=step) for n in pausing]
    old = sum(steps for steps in spent if steps > step)
    share = _share_of_new(pruner, told)
    return step * (len(pausing) - start) < share * (old + max(spent, default=step))


def _share_of_new(pruner: FreezeThaw, told: float) -> float:
    """Steps to spend on new networks for each spent on taking up paused ones.

    Source: the optimal division between two fidelities for the mean of one, Peherstorfer, Willcox
    and Gunzburger 2016, doi:10.1137/15M1046472.
    """
    price = _price(pruner)
    if not price or told == 1:
        return NEW_PER_OLD
    return min(NEW_PER_OLD, math.sqrt(price * told / (1 - told)))


def _price(pruner: BasePruner) -> float:
    """Share of a full training up to the first rung; 0 where it is not known."""
    if not isinstance(pruner, FreezeThaw) or pruner.end is None:
        return 0.0
    return pruner.steps[0] / pruner.end
