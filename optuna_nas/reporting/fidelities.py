"""Whether what is known of a network early tells what it ends with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial
from scipy.stats import spearmanr

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import SpaceError
from optuna_nas.samplers.history import END, Network, at_rungs, history, rungs
from optuna_nas.study.record import objective_names

__all__ = ["Agreement", "agreements", "foresight"]

FEWEST = 5
"""Networks for a rank correlation between rungs."""
FEWEST_LEARNED = 20
"""Networks for one of predictions."""
MOST_LEARNED = 300
FOLDS = 5


class Agreement(NamedTuple):
    """How far two orders of the same networks agree.

    Args:
        objective: Whose values order them.
        early: What gives the first order: a rung, or the predictor.
        late: The rung that gives the second.
        networks: How many.
        correlation: Spearman's rank correlation.
    """

    objective: str
    early: str
    late: str
    networks: int
    correlation: float


def agreements(study: optuna.Study) -> list[Agreement]:
    """Rank correlation between each rung and the next, for objectives that training changes."""
    _, levels, seen = _seen(study)
    found = []
    for m, name in enumerate(objective_names(study)):
        if not _trained(seen[:, :, m]):
            continue
        for k, (early, late) in enumerate(pairwise(map(_label, levels))):
            below, above = seen[:, k, m], seen[:, k + 1, m]
            both = np.isfinite(below) & np.isfinite(above)
            if both.sum() >= FEWEST:
                found += _agreement(name, early, late, below[both], above[both])
    return found


def foresight(study: optuna.Study) -> list[Agreement]:
    """Rank correlation of held-back networks with what the surrogate of `Predictor` says.

    Five-fold cross-validation at the first rung, on the latest 300 networks.
    """
    networks, levels, seen = _seen(study)
    trials = study.get_trials(deepcopy=False)
    found = []
    for m, name in enumerate(objective_names(study)):
        place = np.flatnonzero(np.isfinite(seen[:, 0, m]))[-MOST_LEARNED:]
        values = seen[place, 0, m]
        if len(place) >= FEWEST_LEARNED and _trained(seen[:, :, m]):
            told = _held_back([networks[i] for i in place], trials, values)
            found += _agreement(name, "predictor", _label(levels[0]), told, values)
    return found


def _seen(study: optuna.Study) -> tuple[list[Network], list[float], NDArray[np.float64]]:
    trials = study.get_trials(deepcopy=False)
    networks = list(history(trials, study.directions).values())
    levels = rungs(study.pruner, networks)
    return networks, levels, at_rungs(networks, levels, len(study.directions))


def _trained(values: NDArray[np.float64]) -> bool:
    """Whether training changes the values of an objective at rungs (N, L)."""
    low = np.nanmin(values, axis=1, initial=math.inf)
    high = np.nanmax(values, axis=1, initial=-math.inf)
    return bool((high > low).any())


def _agreement(
    name: str, early: str, late: str, first: NDArray[np.float64], second: NDArray[np.float64]
) -> list[Agreement]:
    if np.ptp(first) == 0 or np.ptp(second) == 0:  # no order
        return []
    correlation = float(spearmanr(first, second).statistic)
    return [Agreement(name, early, late, len(first), correlation)]


def _held_back(
    networks: Sequence[Network], trials: Sequence[FrozenTrial], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    from sklearn.model_selection import KFold

    from optuna_nas.samplers.genes import Encoder, genes
    from optuna_nas.samplers.surrogate import Forest
    from optuna_nas.samplers.virtual import Proposal

    described = [
        genes(Proposal(n.params, n.distributions, _graph(trials[n.number]))) for n in networks
    ]
    encoder = Encoder(described)
    columns, told = encoder(described), np.empty(len(values))
    for learned, held in KFold(FOLDS, shuffle=True, random_state=0).split(columns):
        forest = Forest(columns[learned], values[learned], encoder.telling, seed=0)
        told[held] = forest(columns[held]).mean(axis=0)
    return told


def _graph(trial: FrozenTrial) -> Architecture | None:
    with suppress(SpaceError):
        if "architecture" in trial.user_attrs:
            return Architecture.from_json(trial.user_attrs["architecture"])
    return None


def _label(level: float) -> str:
    return "the end" if level == END else f"step {level:g}"
