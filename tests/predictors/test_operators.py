"""What one forward pass calls."""

from __future__ import annotations

import json

import pytest
from pretended import OUTPUTS, SHAPE, branches, draws

from optuna_nas.model.configuration import Configuration, configurations
from optuna_nas.objectives import Candidate, FLOPs
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


def test_weights_are_parameters_and_buffers_and_no_activations() -> None:
    args = {"channels": 8, "kernel": 3, "stride": 1, "residual": True, "squeeze": True}
    block = Configuration("conv", json.dumps(args), ((8, 4, 4),))
    built = block.build()
    own = [*built.parameters(), *(b for b in built.buffers() if b.ndim)]  # no counter of batches
    found = work([block])
    assert found["add.calls"] and found["mul.calls"]
    weights = sum(amount for name, amount in found.items() if name.endswith(".weights"))
    assert weights == sum(tensor.numel() for tensor in own)


def test_weights_of_a_linear_layer_are_seen_through_their_views() -> None:
    found = work([Configuration("linear", '{"features": 5, "norm": "none"}', ((7,),))])
    assert found["addmm.weights"] == 7 * 5 + 5
    assert found["addmm.elements"] == 7 + 5


def test_blocks_add_up() -> None:
    nodes = configurations(branches(), SHAPE, OUTPUTS)
    each = [work([node]) for node in nodes]
    for name, amount in work(nodes).items():
        assert amount == pytest.approx(sum(found.get(name, 0.0) for found in each))
