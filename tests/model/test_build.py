"""Architecture -> module, with errors that name the node."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torch import nn

from optuna_nas.architecture import INPUT, Architecture, Node
from optuna_nas.exceptions import SpaceError
from optuna_nas.model import Network, build

CHAIN = Architecture.chain([("first", "conv", {"channels": 4}), ("last", "classify", {})])
GRAPH = Architecture(
    (
        Node("stem", "conv", {"channels": 4}, (INPUT,)),
        Node("left", "conv", {"channels": 4, "kernel": 5}, ("stem",)),
        Node("dead", "conv", {"channels": 4}, ("stem",)),
        Node("right", "separable", {"channels": 4}, ("stem",)),
        Node("sum", "add", {}, ("left", "right", "stem")),
        Node("head", "classify", {}, ("sum",)),
    )
)


@pytest.mark.parametrize("architecture", [CHAIN, GRAPH], ids=["chain", "graph"])
class TestNetwork:
    def test_returns_the_outputs(self, architecture: Architecture) -> None:
        network = build(architecture, (1, 8, 8), 3)
        assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 3)

    def test_a_pickled_copy_computes_the_same(self, architecture: Architecture) -> None:
        network = build(architecture, (1, 8, 8), 3).eval()
        x = torch.randn(2, 1, 8, 8)
        torch.testing.assert_close(pickle.loads(pickle.dumps(network))(x), network(x))

    def test_is_exported_by_torch(self, architecture: Architecture) -> None:
        network = build(architecture, (1, 8, 8), 3).eval()
        x = torch.randn(2, 1, 8, 8)
        exported = torch.export.export(network, (x,)).module()
        torch.testing.assert_close(exported(x), network(x))

    def test_allocates_nothing_on_the_meta_device(self, architecture: Architecture) -> None:
        network = build(architecture, (1, 8, 8), 3, device="meta")
        assert all(parameter.is_meta for parameter in network.parameters())

    def test_the_seed_decides_the_weights(self, architecture: Architecture) -> None:
        torch.manual_seed(3)
        first = build(architecture, (1, 8, 8), 3).state_dict()
        torch.manual_seed(3)
        second = build(architecture, (1, 8, 8), 3).state_dict()
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_graph_computes_what_its_nodes_say() -> None:
    network: Any = build(GRAPH, (1, 8, 8), 3).eval()
    x = torch.randn(2, 1, 8, 8)
    stem = network.stem(x)
    expected = network.head(network.left(stem) + network.right(stem) + stem)
    torch.testing.assert_close(network(x), expected)


def test_parameters_are_named_by_their_living_node() -> None:
    names = build(GRAPH, (1, 8, 8), 3).state_dict()
    assert {name.split(".")[0] for name in names} == {"stem", "left", "right", "head"}
    assert "stem.conv.weight" in names


def test_the_default_device_is_that_of_torch() -> None:
    with torch.device("meta"):
        network = build(CHAIN, (1, 8, 8), 3)
    assert all(parameter.is_meta for parameter in network.parameters())


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (
            Architecture.chain([("a", "convolution", {})]),
            r"kind of block among \[.*\], got 'convolution'",
        ),
        (
            Architecture.chain([("a", "linear", {"features": 4}), ("b", "conv", {"channels": 4})]),
            r"node 'b' \(conv_c4\) cannot be built .* \(4,\): expected .* \(C, H, W\), got \(4,\)",
        ),
        (
            Architecture.chain([("a", "conv", {"channels": 4, "dilation": 2})]),
            "node 'a' .* unexpected keyword argument 'dilation'",
        ),
        (
            Architecture.chain([("a", "conv", {"channels": -4})]),
            "node 'a' .*cannot be built",
        ),
        (
            Architecture(
                (
                    Node("a", "conv", {"channels": 4}, (INPUT,)),
                    Node("b", "conv", {"channels": 5}, (INPUT,)),
                    Node("c", "add", {}, ("a", "b")),
                )
            ),
            r"node 'c' .* one shape, got \(4, 8, 8\), \(5, 8, 8\)",
        ),
        (
            Architecture.chain([("a", "conv", {"channels": 4})]),
            r"expected an output of shape \(B, 3\), got \(B, 4, 8, 8\) from node 'a'",
        ),
        (Architecture.chain([("a.b", "classify", {})]), r"identifiers .* got 'a\.b'"),
        (Architecture.chain([("forward", "classify", {})]), "no attribute .* got 'forward'"),
        ("conv3x3", "to return an Architecture or an nn.Module, got str"),
    ],
)
def test_what_cannot_be_built_is_refused(architecture: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        build(architecture, (1, 8, 8), 3)


class TestOwnModule:
    def test_is_returned_as_it_is(self) -> None:
        module = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 3))
        module[1].eval()
        before = module[1].running_mean.clone()
        assert build(module, (1, 8, 8), 3) is module
        assert (module.training, module[1].training) == (True, False)
        assert torch.equal(module[1].running_mean, before)

    def test_is_checked_on_the_meta_device(self) -> None:
        with torch.device("meta"):
            module = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
        assert build(module, (1, 8, 8), 3, device="meta") is module

    @pytest.mark.parametrize(
        ("module", "message"),
        [
            (nn.Linear(64, 3), r"module Linear fails on an input of \(2, 1, 8, 8\): "),
            (nn.Flatten(), r"output of shape \(B, 3\), got \(B, 64\) from module Flatten"),
            (nn.LSTM(8, 3), "module LSTM"),
        ],
    )
    def test_that_does_not_fit_is_refused(self, module: nn.Module, message: str) -> None:
        with pytest.raises(SpaceError, match=message):
            build(module, (1, 8, 8), 3)


def tied(channels: int = 4, kernel: int = 3) -> Architecture:
    """Two convolutions computed by one module."""
    args = {"channels": channels, "kernel": kernel}
    return Architecture(
        (
            Node("first", "conv", args, (INPUT,), "shared"),
            Node("second", "conv", args, ("first",), "shared"),
            Node("head", "classify", {}, ("second",)),
        )
    )


class TestSharedModules:
    def test_are_there_once(self) -> None:
        network: Any = build(tied(), (4, 8, 8), 3).eval()
        assert {name.split(".")[0] for name in network.state_dict()} == {"shared", "head"}
        x = torch.randn(2, 4, 8, 8)
        expected = network.head(network.shared(network.shared(x)))
        torch.testing.assert_close(network(x), expected)

    def test_survive_pickling_and_export(self) -> None:
        network: Any = build(tied(), (4, 8, 8), 3).eval()
        x = torch.randn(2, 4, 8, 8)
        copied = pickle.loads(pickle.dumps(network))
        assert len([*copied.parameters()]) == len([*network.parameters()])
        torch.testing.assert_close(copied(x), network(x))
        exported = torch.export.export(network, (x,)).module()
        torch.testing.assert_close(exported(x), network(x))

    def test_gather_the_gradients_of_all_their_nodes(self) -> None:
        network: Any = build(tied(), (4, 8, 8), 3)
        network(torch.randn(2, 4, 8, 8)).square().sum().backward()
        assert network.shared.conv.weight.grad.abs().max() > 0

    def test_take_inputs_of_one_shape(self) -> None:
        with pytest.raises(
            SpaceError,
            match=r"shape \(1, 8, 8\) for node 'second', .* with 'first', got \(4, 8, 8\)",
        ):
            build(tied(), (1, 8, 8), 3)


def test_a_network_keeps_its_architecture() -> None:
    network = build(GRAPH, (1, 8, 8), 3)
    assert isinstance(network, Network)
    assert network.architecture == GRAPH
