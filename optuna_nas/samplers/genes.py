"""A network as numbers: its parameters, and the paths of operators through its graph."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from sklearn.feature_extraction import DictVectorizer

from optuna_nas.architecture import COMMUTATIVE, INPUT, Architecture
from optuna_nas.samplers.virtual import Proposal

__all__ = ["Encoder", "genes"]

MOST_PATHS = 64
"""A graph with more paths than this is not described by each of them."""
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
        carriers = Counter(name for network in networks for name in network)
        shared = [{k: v for k, v in network.items() if carriers[k] > 1} for network in networks]
        if not any(shared):  # one column, the same for all
            shared = [{"": 0.0}]
        self._vectors = DictVectorizer(sparse=False, dtype=np.float32).fit(shared)
        names = self._vectors.get_feature_names_out()
        graph = any(name.startswith(GRAPH) for name in names)
        shown = [graph and "=" in name and not name.startswith(GRAPH) for name in names]
        self._order = np.argsort(shown, kind="stable")
        self.telling = len(shown) - sum(shown)

    def __call__(self, networks: Sequence[Mapping[str, float]]) -> NDArray[np.float32]:
        """The columns of networks (N, C)."""
        columns: NDArray[np.float32] = self._vectors.transform(networks)
        return columns[:, self._order]


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
        nodes = Counter(str(node) for node in network.drawn.alive)
        graph = {f"nodes {kind}": float(count) for kind, count in nodes.items()}
        owners = Counter({node.module: str(node) for node in network.drawn.alive}.values())
        shared = {kind: count - owners[kind] for kind, count in nodes.items()}
        graph |= {f"shared {kind}": float(count) for kind, count in shared.items() if count}
        graph |= _paths(network.drawn)
        for kind in {node.kind for node in network.drawn.alive} - COMMUTATIVE | {ANY}:
            graph |= _shape(network.drawn, kind)
        found |= {f"{GRAPH}{name}": value for name, value in graph.items()}
    return found


def _parameter(name: str, value: Any, distribution: BaseDistribution) -> dict[str, float]:
    if isinstance(distribution, CategoricalDistribution):
        return {f"{name}={distribution.to_internal_repr(value):g}": 1.0}
    if not isinstance(distribution, IntDistribution | FloatDistribution):
        return {}
    low, high = distribution.low, distribution.high
    if distribution.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return {name: 1.0 + (value - low) / (high - low)}


def _paths(architecture: Architecture) -> dict[str, float]:
    paths: dict[str, Counter[str]] = {INPUT: Counter({"": 1})}
    for node in architecture.alive:
        step = "" if node.kind in COMMUTATIVE else f">{node}"
        paths[node.name] = Counter()
        for source in node.inputs:
            for path, count in paths[source].items():
                paths[node.name][f"{path}{step}"] += count
        if len(paths[node.name]) > MOST_PATHS:
            return {}
    return {f"path {path}": float(n) for path, n in paths[architecture.output].items()}


def _shape(architecture: Architecture, kind: str) -> dict[str, float]:
    """How many nodes of a kind are on paths: at most, at least, and on all paths together."""
    most, least, paths, total = {INPUT: 0}, {INPUT: 0}, {INPUT: 1}, {INPUT: 0}
    for node in architecture.alive:
        own = int(node.kind == kind or (kind == ANY and node.kind not in COMMUTATIVE))
        most[node.name] = own + max(most[source] for source in node.inputs)
        least[node.name] = own + min(least[source] for source in node.inputs)
        paths[node.name] = sum(paths[source] for source in node.inputs)
        total[node.name] = own * paths[node.name] + sum(total[source] for source in node.inputs)
    end = architecture.output
    return {
        f"most {kind}": float(most[end]),
        f"least {kind}": float(least[end]),
        f"total {kind}": math.log1p(total[end]),  # of deep graphs too large for a float
    }
