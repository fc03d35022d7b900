"""A network as numbers: its parameters, and the paths of operators through its graph."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from optuna_nas.architecture import COMMUTATIVE, INPUT, Architecture
from optuna_nas.samplers.virtual import Proposal

__all__ = ["Encoder", "genes"]

MOST_PATHS = 64
"""A graph with more paths than this is not described by each of them."""
MOST_COUNTED = 1e300
"""As many paths or more are all alike."""
ANY = "any"
"""Stands for nodes of every kind."""
GRAPH = "graph: "
"""What names of genes that tell of a graph begin with."""


class Encoder:
    """Turns genes into columns: those that at least two of the networks it was made from have.

    Args:
        networks: Genes of the networks to learn from.

    Attributes:
        telling: How many columns, the first ones, tell most: all but the choices that a graph,
            where there is one, shows anyway.
    """

    def __init__(self, networks: Sequence[Mapping[str, float]]) -> None:
        carriers = Counter(chain.from_iterable(networks))
        names = sorted(name for name, count in carriers.items() if count > 1)
        names = names or [""]  # one column, the same for all
        graph = any(name.startswith(GRAPH) for name in names)
        shown = {name for name in names if graph and "=" in name and not name.startswith(GRAPH)}
        names.sort(key=shown.__contains__)
        self._places = {name: place for place, name in enumerate(names)}
        self.telling = len(names) - len(shown)

    def __call__(self, networks: Sequence[Mapping[str, float]]) -> NDArray[np.float32]:
        """The columns of networks (N, C)."""
        columns = np.zeros((len(networks), len(self._places)), np.float32)
        for row, network in zip(columns, networks, strict=True):
            places = [self._places[name] for name in network if name in self._places]
            row[places] = [network[name] for name in network if name in self._places]
        return columns


def genes(network: Proposal) -> dict[str, float]:
    """Name -> number, for everything that tells a network from others.

    Categorical parameters are 0 or 1 for each choice, numbers are between 1 and 2 (0 is absent).
    Of a graph also: how many nodes are alike, and how many of them take the weights of another
    instead of their own; how many nodes of each kind the paths from input to
    output run through, at most, at least and together; and how many paths run through like nodes
    in the same order (path encoding: White et al. 2021, arXiv:1910.11858). Nodes that only add
    up are on no path.
    """
    found: dict[str, float] = {}
    for name, distribution in network.distributions.items():
        if not distribution.single():
            found |= _parameter(name, network.params[name], distribution)
    if isinstance(network.drawn, Architecture):
        found |= {f"{GRAPH}{name}": value for name, value in _graph(network.drawn).items()}
    return found


def _graph(architecture: Architecture) -> dict[str, float]:
    labels = {node.name: str(node) for node in architecture.alive}
    counts = Counter(labels.values())
    owners = Counter({node.module: labels[node.name] for node in architecture.alive}.values())
    shared = {kind: count - owners[kind] for kind, count in counts.items()}
    nodes = {f"nodes {kind}": float(count) for kind, count in counts.items()}
    nodes |= {f"shared {kind}": float(count) for kind, count in shared.items() if count}
    return nodes | _paths(architecture, labels) | _shape(architecture)


def _parameter(name: str, value: Any, distribution: BaseDistribution) -> dict[str, float]:
    if isinstance(distribution, CategoricalDistribution):
        return {f"{name}={distribution.to_internal_repr(value):g}": 1.0}
    if not isinstance(distribution, IntDistribution | FloatDistribution):
        return {}
    low, high = distribution.low, distribution.high
    if distribution.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return {name: 1.0 + (value - low) / (high - low)}


def _paths(architecture: Architecture, labels: Mapping[str, str]) -> dict[str, float]:
    paths: dict[str, Counter[str]] = {INPUT: Counter({"": 1})}
    for node in architecture.alive:
        step = "" if node.kind in COMMUTATIVE else f">{labels[node.name]}"
        paths[node.name] = Counter()
        for source in node.inputs:
            for path, count in paths[source].items():
                paths[node.name][f"{path}{step}"] += count
        if len(paths[node.name]) > MOST_PATHS:
            return {}
    return {f"path {path}": float(n) for path, n in paths[architecture.output].items()}


def _shape(architecture: Architecture) -> dict[str, float]:
    """How many nodes of a kind are on paths: at most, at least, and on all paths together."""
    kinds = sorted({node.kind for node in architecture.alive} - COMMUTATIVE)
    none, one = np.zeros(len(kinds) + 1), np.eye(len(kinds) + 1)
    own = {kind: one[place] + one[-1] for place, kind in enumerate(kinds)}
    most, least, total, paths = {INPUT: none}, {INPUT: none}, {INPUT: none}, {INPUT: 1.0}
    for node in architecture.alive:
        here, sources = own.get(node.kind, none), node.inputs
        most[node.name] = here + reduce(np.maximum, [most[source] for source in sources])
        least[node.name] = here + reduce(np.minimum, [least[source] for source in sources])
        paths[node.name] = min(sum(paths[source] for source in sources), MOST_COUNTED)
        added = here * paths[node.name] + sum(total[source] for source in sources)
        total[node.name] = np.minimum(added, MOST_COUNTED)
    end = architecture.output
    logarithms = np.log1p(total[end])
    found: dict[str, float] = {}
    for name, values in {"most": most[end], "least": least[end], "total": logarithms}.items():
        found |= {f"{name} {k}": v for k, v in zip([*kinds, ANY], values.tolist(), strict=True)}
    return found
