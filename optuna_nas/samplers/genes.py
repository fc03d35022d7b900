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
"""A graph with more paths than this is not described by them."""


class Encoder:
    """Turns genes into columns: those that at least two of the networks it was made from have.

    Args:
        networks: Genes of the networks to learn from.
    """

    def __init__(self, networks: Sequence[Mapping[str, float]]) -> None:
        carriers = Counter(name for network in networks for name in network)
        shared = [{k: v for k, v in network.items() if carriers[k] > 1} for network in networks]
        self._vectors = DictVectorizer(sparse=False, dtype=np.float32).fit(shared or [{}])

    def __call__(self, networks: Sequence[Mapping[str, float]]) -> NDArray[np.float32]:
        """The columns of networks (N, C)."""
        columns: NDArray[np.float32] = self._vectors.transform(networks)
        return columns


def genes(network: Proposal) -> dict[str, float]:
    """Name -> number, for everything that tells a network from others.

    Categorical parameters are 0 or 1 for each choice, numbers are between 1 and 2 (0 is absent).
    Of a graph also: how many nodes are alike, and how many paths run through like nodes in the
    same order, nodes that only add up left out (path encoding: White et al. 2021,
    arXiv:1910.11858).
    """
    found: dict[str, float] = {}
    for name, distribution in network.distributions.items():
        if not distribution.single():
            found |= _parameter(name, network.params[name], distribution)
    if isinstance(network.drawn, Architecture):
        nodes = Counter(str(node) for node in network.drawn.alive)
        found |= {f"nodes {kind}": float(count) for kind, count in nodes.items()}
        found |= _paths(network.drawn)
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
