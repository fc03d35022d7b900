"""Whether what is known of a network early tells what it ends with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial
from scipy.stats import spearmanr

from optuna_nas.reporting.graph import graph
from optuna_nas.samplers.history import END, Network, at_rungs, history, rungs
from optuna_nas.study.record import objective_names

__all__ = ["Agreement", "agreements"]

Floats = NDArray[np.float64]

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
    """Rank correlations, for objectives that training changes.

    Between each rung and the next; and between what the surrogate of `Predictor` says of networks
    held back from it and their first rung, by five-fold cross-validation on the latest 300.
    """
    trials = study.get_trials(deepcopy=False)
    networks = list(history(trials, study.directions).values())
    levels = rungs(study.pruner, networks)
    seen = at_rungs(networks, levels, len(study.directions))
    labels = list(map(_label, levels))
    named = list(enumerate(objective_names(study)))
    trained = [(m, name) for m, name in named if _trained(seen[:, :, m])]
    between = [a for m, name in trained for a in _between(name, labels, seen[:, :, m])]
    told = [a for m, n in trained for a in _told(n, labels[0], networks, trials, seen[:, 0, m])]
    return [*between, *told]


def _between(name: str, labels: Sequence[str], seen: Floats) -> Iterator[Agreement]:
    """How rungs agree, by the values of one objective at each (N, L)."""
    for k, (early, late) in enumerate(pairwise(labels)):
        below, above = seen[:, k], seen[:, k + 1]
        both = np.isfinite(below) & np.isfinite(above)
        if both.sum() >= FEWEST:
            yield from _agreement(name, early, late, below[both], above[both])


def _told(
    name: str,
    rung: str,
    networks: Sequence[Network],
    trials: Sequence[FrozenTrial],
    values: Floats,
) -> Iterator[Agreement]:
    """How the predictor agrees with the values of one objective at a rung (N,)."""
    places = np.flatnonzero(np.isfinite(values))[-MOST_LEARNED:]
    if len(places) >= FEWEST_LEARNED:
        told = _held_back([networks[i] for i in places], trials, values[places])
        yield from _agreement(name, "predictor", rung, told, values[places])


def _trained(values: Floats) -> bool:
    """Whether training changes the values of an objective at rungs (N, L)."""
    low = np.nanmin(values, axis=1, initial=math.inf)
    high = np.nanmax(values, axis=1, initial=-math.inf)
    return bool((high > low).any())


def _agreement(name: str, early: str, late: str, first: Floats, second: Floats) -> list[Agreement]:
    if np.ptp(first) == 0 or np.ptp(second) == 0:  # no order
        return []
    correlation = float(spearmanr(first, second).statistic)
    return [Agreement(name, early, late, len(first), correlation)]


def _held_back(
    networks: Sequence[Network], trials: Sequence[FrozenTrial], values: Floats
) -> Floats:
    from sklearn.model_selection import KFold

    from optuna_nas.samplers.forest import Forest
    from optuna_nas.samplers.genes import Encoder, genes
    from optuna_nas.samplers.virtual import Proposal

    described = [
        genes(
            Proposal(
                n.params, n.distributions, graph(trials[n.number].user_attrs.get("architecture"))
            )
        )
        for n in networks
    ]
    encoder = Encoder(described)
    columns, told = encoder(described), np.empty(len(values))
    for learned, held in KFold(FOLDS, shuffle=True, random_state=0).split(columns):
        forest = Forest(columns[learned], values[learned], encoder.telling, seed=0)
        told[held] = forest(columns[held]).mean(axis=0)
    return told


def _label(level: float) -> str:
    return "the end" if level == END else f"step {level:g}"
