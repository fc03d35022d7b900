"""Small spaces whose operators are mixed, and what is done with them."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from hypothesis import strategies as st

import optuna_nas as nas
from optuna_nas.objectives import Latency
from optuna_nas.predictors import LatencyTable
from optuna_nas.spaces.draws import random_trials
from optuna_nas.supernet.differentiable import Alphas, MixedNetwork, Relaxation, relax

SHAPE, OUTPUTS = (1, 4, 4), 3

CELLS = nas.spaces.NASBench201(input_shape=SHAPE, cells=1, channels=2)
STACKED = nas.spaces.DARTS(input_shape=SHAPE, layers=3, channels=4, nodes=2, stem=1)


def staged(trial) -> nas.Architecture:
    """Three blocks: an operator with a kernel of its own, one that may be a wire, an end."""
    first = nas.scope(trial, "first")
    kind = first.suggest_categorical("kind", ["conv", "separable"])
    kernel = first.suggest_categorical(f"{kind}.kernel", [1, 3])
    nodes = [("first", kind, {"channels": 4, "kernel": kernel})]
    if trial.suggest_int("depth", 1, 2) == 2:
        nodes.append(("second", "conv", {"channels": 4, "kernel": 3}))
    return nas.Architecture.chain([*nodes, ("classify", "classify", {})])


@cache
def relaxed(space: Any) -> Relaxation:
    return relax(space, SHAPE, OUTPUTS)


def mixed(space: Any, seed: int = 0, **options: Any) -> tuple[MixedNetwork, Alphas, Relaxation]:
    """A mixed network in double precision, whose architecture parameters differ."""
    relaxation = relaxed(space)
    torch.manual_seed(seed)
    alphas = Alphas(relaxation, edges=options.get("partial", 1) > 1).double()
    with torch.no_grad():
        for alpha in alphas.parameters():
            alpha.copy_(torch.randn(len(alpha)))
    return MixedNetwork(relaxation, alphas, **options).double(), alphas, relaxation


def images(count: int = 6) -> torch.Tensor:
    return torch.randn(count, *SHAPE, dtype=torch.float64)


@st.composite
def strengths(draw, relaxation: Relaxation):
    """Strengths of options, no two of them equal."""
    number = draw(st.integers(0, 2**32 - 1))
    generator = torch.Generator().manual_seed(number)
    return [torch.rand(len(c.options), generator=generator) for c in relaxation.choices]


def table(wanted: float = 1.0) -> LatencyTable:
    """All blocks of the space, each with a time of its own; networks take the sum."""
    timed = LatencyTable(
        SHAPE, OUTPUTS, Latency(), device={"name": "pretended"}, backend_version="1"
    )
    networks = [CELLS(trial) for trial, _ in zip(random_trials(0), range(60), strict=False)]
    found = dict.fromkeys(c for a in networks for c in timed.configurations(a))
    timed.blocks = {c: 0.01 * (1 + number) for number, c in enumerate(found)}
    totals = {a: sum(timed.blocks[c] for c in timed.configurations(a)) for a in networks}
    timed.networks = {a: wanted * total for a, total in totals.items()}
    return timed
