"""What one forward pass calls."""

from __future__ import annotations

import pytest
from pretended import OUTPUTS, SHAPE, branches, draws

from optuna_nas.objectives import Candidate, FLOPs
from optuna_nas.predictors.configuration import Configuration, configurations
from optuna_nas.predictors.operators import work


def test_flops_are_those_of_the_objective() -> None:
    for architecture in [*draws(5), branches()]:
        found = work(configurations(architecture, SHAPE, OUTPUTS))
        flops = sum(amount for name, amount in found.items() if name.endswith(".flops"))
        assert flops == FLOPs()(Candidate(architecture, SHAPE, OUTPUTS)).value


def test_amounts_of_a_separable_convolution() -> None:
    block = Configuration("separable", '{"channels": 16, "kernel": 3}', ((8, 4, 4),))
    found = work([block])
    assert found["depthwise_convolution.calls"] == found["pointwise_convolution.calls"] == 1
    assert found["depthwise_convolution.flops"] == 2 * 9 * 8 * 16
    assert found["pointwise_convolution.weights"] == 8 * 16
    assert found["pointwise_convolution.heavy_weights"] == pytest.approx((8 * 16) ** 1.5)
    assert found["pointwise_convolution.elements"] == 8 * 16 + 16 * 16
    assert found["relu.calls"] == 2
    assert not any(name.startswith("convolution") for name in found)


def test_blocks_add_up() -> None:
    nodes = configurations(branches(), SHAPE, OUTPUTS)
    each = [work([node]) for node in nodes]
    for name, amount in work(nodes).items():
        assert amount == pytest.approx(sum(found.get(name, 0.0) for found in each))
