"""What the trials of a study say of networks, each network once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.pareto import Losses, losses
from optuna_nas.pruners.curve import curve
from optuna_nas.pruners.freeze_thaw import THROUGH, FreezeThaw

__all__ = ["END", "Network", "at_rungs", "history", "rungs"]

END = math.inf
"""Rung of a network trained to its end."""
MOST_RUNGS = 4


@dataclass(eq=False)
class Network:
    """A network that was trained, or is.

    Args:
        params: Its parameters.
        distributions: Their distributions.
        number: Its latest trial.
        losses: Step, or `END` -> losses of the objectives; infinite where they were no number.
        violation: Worst constraint; above 0 it broke one. None where none was set.
        state: State of its latest trial.
        through: Whether it is trained to its end without a pause.
    """

    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    number: int = -1
    losses: dict[float, tuple[float, ...]] = field(default_factory=dict)
    violation: float | None = None
    state: TrialState = TrialState.RUNNING
    through: bool = False

    @property
    def seen(self) -> bool:
        """Whether it has losses that are all numbers, at some rung."""
        return any(all(map(math.isfinite, values)) for values in self.losses.values())

    @property
    def paused(self) -> bool:
        """Whether it was stopped before its end and could go on."""
        whole = all(map(math.isfinite, chain.from_iterable(self.losses.values())))
        kept = self.violation is None or self.violation <= 0
        return self.state == TrialState.PRUNED and bool(self.losses) and whole and kept


def history(
    trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]
) -> dict[int, Network]:
    """Number of a network's first trial -> the network, in the order they began.

    Trials that continue another one belong to its network; trials that only told again what
    another had found are left out.
    """
    networks: dict[int, Network] = {}
    first: dict[int, int] = {}
    for trial in trials:
        if trial.state == TrialState.WAITING or "reused_from" in trial.user_attrs:
            continue
        root = first.get(trial.user_attrs.get("continues", trial.number), trial.number)
        first[trial.number] = root
        network = networks.setdefault(root, Network(trial.params, trial.distributions))
        network.number, network.state = trial.number, trial.state
        network.through |= THROUGH in trial.system_attrs
        for step, values in curve(trial, len(directions)).items():
            network.losses[step] = _losses(values, directions)
        if trial.state == TrialState.COMPLETE:
            network.losses[END] = _losses(trial.values, directions)
        if trial.constraints:
            network.violation = max(trial.constraints.values())
    return networks


def rungs(pruner: BasePruner, networks: Sequence[Network]) -> list[float]:
    """Steps at which networks are compared, rising, the end among them.

    Those of the pruner where it says so, that some network has reached; otherwise the steps at
    which most trials were stopped.
    """
    stops = Counter(max(n.losses) for n in networks if n.paused)
    steps = [step for step, _ in stops.most_common(MOST_RUNGS)]
    if isinstance(pruner, FreezeThaw):
        edges = pairwise([-math.inf, *pruner.steps])
        reached = {step for network in networks for step in network.losses}
        steps = [end for start, end in edges if any(start < s <= end for s in reached)]
    return [*sorted(steps), END]


def at_rungs(networks: Sequence[Network], levels: Sequence[float], objectives: int) -> Losses:
    """Losses at each rung and at the end (N, L, M), NaN where they were not seen.

    Args:
        networks: The networks (N).
        levels: Steps of the rungs, the end last (L,).
        objectives: How many (M).
    """
    seen = np.full((len(networks), len(levels), objectives), np.nan)
    for row, network in zip(seen, networks, strict=True):
        below = -math.inf
        for place, level in zip(row, levels, strict=True):
            steps = [s for s in network.losses if below < s <= level]
            if steps and (level < END or END in network.losses):
                place[:] = network.losses[max(steps)]
            below = level
    return seen


def _losses(values: Sequence[float], directions: Sequence[StudyDirection]) -> tuple[float, ...]:
    signed = losses([values], directions)[0].tolist()
    return tuple(loss if math.isfinite(loss) else math.inf for loss in signed)
