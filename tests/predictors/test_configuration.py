"""What a node is once the shapes of its inputs are known."""

from __future__ import annotations

import json

import pytest
import torch
from pretended import OUTPUTS, SHAPE, branches, draws

from optuna_nas.architecture import Architecture, Node
from optuna_nas.exceptions import SpaceError
from optuna_nas.model import build
from optuna_nas.model.configuration import Configuration, configurations


def test_shapes_are_those_of_the_built_network() -> None:
    for architecture in draws(10):
        found = configurations(architecture, SHAPE, OUTPUTS)
        x = torch.zeros(1, *SHAPE)
        for configuration, block in zip(
            found, build(architecture, SHAPE, OUTPUTS).eval().children(), strict=True
        ):
            assert configuration.inputs == (tuple(x.shape[1:]),)
            x = block(x)
            assert configuration.output_shape == tuple(x.shape[1:])


def test_a_node_of_several_inputs_has_the_shapes_of_all() -> None:
    both = configurations(branches(), SHAPE, OUTPUTS)[2]
    assert both.inputs == ((8, 8, 8), (8, 8, 8))
    assert both.output_shape == (8, 8, 8)


def test_dead_nodes_have_none() -> None:
    graph = branches()
    end = Node("end", "classify", {}, ("left",))
    shortened = Architecture((*graph.nodes, end), output="end")
    assert [c.kind for c in configurations(shortened, SHAPE, OUTPUTS)] == ["conv", "classify"]


def test_equal_nodes_have_one_configuration_and_other_outputs_another() -> None:
    left, right, *_, head = configurations(branches(), SHAPE, OUTPUTS)
    assert left is right
    assert head != configurations(branches(), SHAPE, 5)[-1]


def test_json_restores_it() -> None:
    for configuration in configurations(branches(), SHAPE, OUTPUTS):
        text = json.dumps(configuration.to_json())
        assert Configuration.from_json(json.loads(text)) == configuration


def test_a_module_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"Architecture, .* got Linear; let the space"):
        configurations(torch.nn.Linear(2, 2), (2,), 2)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(
        SpaceError, match=r"node .* for inputs of shape \(4,\): expected an input of"
    ):
        configurations(draws(1)[0], (4,), OUTPUTS)
    headless = Architecture(branches().nodes, output="left")
    with pytest.raises(SpaceError, match=r"got \(B, 8, 8, 8\) from node 'left'"):
        configurations(headless, SHAPE, OUTPUTS)
