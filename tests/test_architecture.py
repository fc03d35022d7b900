"""The genotype: JSON both ways, and a digest that sees the graph and nothing else."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optuna_nas.architecture import INPUT, Architecture, Node
from optuna_nas.exceptions import SpaceError

CHAIN = Architecture.chain(
    [
        ("a", "conv", {"channels": 32, "kernel": 3, "stride": 2, "residual": False}),
        ("b", "conv", {"channels": 32, "kernel": 5, "stride": 1, "residual": True}),
        ("c", "linear", {"features": 64, "norm": "none", "activation": "relu", "dropout": 0.0}),
        ("d", "classify", {}),
    ]
)

CONV = {"channels": 8, "kernel": 3}

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


def convolution(name: str, *inputs: str, channels: int = 8) -> Node:
    return Node(name, "conv", {"channels": channels}, inputs)


@st.composite
def graphs(draw: st.DrawFn) -> Architecture:
    nodes: list[Node] = []
    for index in range(draw(st.integers(1, 7))):
        names = [INPUT, *(node.name for node in nodes)]
        kind = draw(st.sampled_from(["conv", "add", "concatenate"]))
        count = 1 if kind == "conv" else draw(st.integers(1, 3))
        inputs = tuple(draw(st.sampled_from(names)) for _ in range(count))
        nodes.append(Node(f"n{index}", kind, {"k": draw(st.sampled_from([3, 5]))}, inputs))
    return Architecture(tuple(nodes))


def renamed(graph: Architecture, names: Mapping[str, str]) -> Architecture:
    new = {INPUT: INPUT, **names}
    nodes = tuple(
        Node(new[n.name], n.kind, n.args, tuple(new[s] for s in n.inputs)) for n in graph.nodes
    )
    return Architecture(nodes, new[graph.output])


def reordered(graph: Architecture, priority: Mapping[str, int]) -> Architecture:
    """List the nodes in another topological order."""
    waiting, done, nodes = list(graph.nodes), {INPUT}, []
    while waiting:
        free = [node for node in waiting if set(node.inputs) <= done]
        chosen = min(free, key=lambda node: priority[node.name])
        waiting.remove(chosen)
        done.add(chosen.name)
        nodes.append(chosen)
    return Architecture(tuple(nodes), graph.output)


@settings(deadline=None)
@given(graphs(), st.dictionaries(st.text(max_size=3), VALUES, max_size=3))
def test_json_restores_an_equal_architecture(graph: Architecture, args: dict[str, Any]) -> None:
    last = Node("last", "conv", args, (graph.output,))
    extended = Architecture((*graph.nodes, last))
    restored = Architecture.from_json(extended.to_json())
    assert restored == extended
    assert restored.digest == extended.digest


@settings(deadline=None)
@given(graphs(), st.data())
def test_names_and_order_do_not_count(graph: Architecture, data: st.DataObject) -> None:
    names = [node.name for node in graph.nodes]
    shuffled = dict(zip(names, data.draw(st.permutations(names)), strict=True))
    priority = dict(zip(names, data.draw(st.permutations(range(len(names)))), strict=True))
    assert renamed(graph, shuffled).digest == graph.digest
    assert reordered(graph, priority).digest == graph.digest


@settings(deadline=None)
@given(graphs(), st.sampled_from([3, 5]))
def test_dead_nodes_do_not_count(graph: Architecture, kernel: int) -> None:
    dead = Node("dead", "conv", {"k": kernel}, (graph.nodes[0].name,))
    extended = Architecture((*graph.nodes, dead), graph.output)
    assert extended.digest == graph.digest
    assert dead not in extended.alive


def test_a_shared_node_differs_from_two_equal_ones() -> None:
    shared = Architecture((convolution("a", INPUT), Node("sum", "add", {}, ("a", "a"))))
    parallel = Architecture(
        (convolution("a", INPUT), convolution("b", INPUT), Node("sum", "add", {}, ("a", "b")))
    )
    assert shared.digest != parallel.digest


def test_isomorphic_cells_are_equal() -> None:
    """The long branch comes first in one and second in the other."""

    def cell(first: str, second: str) -> Architecture:
        return Architecture(
            (
                convolution("short", INPUT),
                convolution("long1", INPUT),
                convolution("long2", "long1"),
                Node("sum", "add", {}, (first, second)),
            )
        )

    assert cell("short", "long2").digest == cell("long2", "short").digest


def test_the_order_of_inputs_counts_unless_they_are_added() -> None:
    def joined(kind: str, *inputs: str) -> str:
        nodes = (convolution("a", INPUT), convolution("b", "a"), Node("c", kind, {}, inputs))
        return Architecture(nodes).digest

    assert joined("concatenate", "a", "b") != joined("concatenate", "b", "a")
    assert joined("add", "a", "b") == joined("add", "b", "a")


@pytest.mark.parametrize(
    "other",
    [
        Architecture((convolution("a", INPUT, channels=16), convolution("b", "a"))),
        Architecture((convolution("a", INPUT), convolution("b", INPUT))),
        Architecture((convolution("a", INPUT), convolution("b", "a")), output="a"),
        Architecture((convolution("a", INPUT), Node("b", "separable", {"channels": 8}, ("a",)))),
    ],
    ids=["argument", "edge", "output", "kind"],
)
def test_different_networks_have_different_digests(other: Architecture) -> None:
    assert other.digest != Architecture((convolution("a", INPUT), convolution("b", "a"))).digest


def test_digests_are_the_same_in_every_version_of_python_and_of_this_package() -> None:
    """Studies that are stored know networks by them."""
    assert CHAIN.digest == "714af8a4eae37549ce0a2891db9fd9d56a0e8231cefe2794e9888e1917cbe1a8"
    wide = {**CONV, "kernel": 5, "dropout": 0.1}
    graph = (
        Node("a", "conv", CONV, (INPUT,)),
        Node("b", "conv", wide, ("a",)),
        Node("c", "conv", wide, ("b",), "b"),
        Node("sum", "add", {}, ("a", "c", "b")),
        Node("end", "classify", {}, ("sum",)),
    )
    found = Architecture(graph).digest
    assert found == "af441a3a77f7b42621cdbabcaaba22d6b375a30dc8e2fbc30deab1cc99870450"


def test_describe_is_one_readable_line() -> None:
    assert CHAIN.describe() == "conv_c32_k3_s2 > conv_c32_k5_residual > linear_f64_relu > classify"


def test_describe_names_what_is_read_from_afar() -> None:
    graph = Architecture(
        (
            convolution("left", INPUT),
            convolution("right", INPUT),
            Node("sum", "add", {}, ("left", "right")),
            Node("head", "classify", {}, ("sum",)),
        )
    )
    expected = "[left=conv_c8 > right=conv_c8(input) > add(left,right)] > classify"
    assert graph.describe() == expected


def test_copies_are_equal_and_keep_the_digest() -> None:
    for twin in (pickle.loads(pickle.dumps(CHAIN)), copy.deepcopy(CHAIN)):
        assert twin == CHAIN
        assert hash(twin) == hash(CHAIN)
        assert twin.digest == CHAIN.digest


def test_arguments_cannot_be_changed() -> None:
    args = {"channels": 8}
    node = Node("a", "conv", args, (INPUT,))
    args["channels"] = 9
    assert node.args["channels"] == 8
    with pytest.raises(TypeError):
        node.args["channels"] = 9


@pytest.mark.parametrize(
    ("nodes", "output", "message"),
    [
        ((), "", "at least one node"),
        ((convolution("a", INPUT), convolution("a", INPUT)), "", "unique node names, got 'a'"),
        ((convolution("input", INPUT),), "", "unique node names, got 'input'"),
        ((convolution("a"),), "", "has no inputs"),
        ((convolution("a", "b"), convolution("b", INPUT)), "", "not an earlier node"),
        ((convolution("a", INPUT),), "b", "expected the output to be a node, got 'b'"),
    ],
)
def test_impossible_graphs_are_refused(nodes: tuple[Node, ...], output: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Architecture(nodes, output)


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_arguments_that_json_cannot_hold_are_refused(value: Any) -> None:
    with pytest.raises(SpaceError, match="node 'a' that JSON can hold"):
        Node("a", "conv", {"channels": value}, (INPUT,))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": 2, "nodes": []}',
        '{"format": 1}',
        '{"format": 1, "nodes": [{"name": "a", "kind": "b", "args": "xy", "inputs": []}]}',
    ],
)
def test_text_that_is_no_architecture_is_refused(text: str) -> None:
    with pytest.raises(SpaceError, match="expected"):
        Architecture.from_json(text)


def test_what_a_trial_stores_is_enough_to_rebuild_it() -> None:
    assert Architecture.from_json(json.loads(CHAIN.to_json())) == CHAIN
    for wrong in (None, 3, {"nodes": []}):
        with pytest.raises(SpaceError, match="expected an architecture in JSON"):
            Architecture.from_json(wrong)


def test_equal_numbers_are_one_network() -> None:
    whole, decimal = (
        Architecture.chain([("a", "linear", {"dropout": zero})]) for zero in (0, 0.0)
    )
    assert whole.digest == decimal.digest


def tied(*modules: str, names: str = "abcd", kernel: int = 3) -> Architecture:
    """A chain of equal convolutions, each computed by the module of that name."""
    nodes: list[Node] = []
    for name, module in zip(names, modules, strict=False):
        source = nodes[-1].name if nodes else INPUT
        nodes.append(Node(name, "conv", {"channels": 8, "kernel": kernel}, (source,), module))
    return Architecture(tuple(nodes))


class TestSharedModules:
    def test_json_and_pickles_keep_them(self) -> None:
        shared = tied("x", "", "x")
        assert [node.module for node in shared.nodes] == ["x", "b", "x"]
        for copied in (
            Architecture.from_json(shared.to_json()),
            pickle.loads(pickle.dumps(shared)),
        ):
            assert copied == shared
            assert copied.digest == shared.digest

    def test_json_of_what_shares_nothing_does_not_speak_of_it(self) -> None:
        assert "module" not in tied("", "").to_json()

    def test_who_shares_with_whom_is_part_of_the_digest(self) -> None:
        kinds = ["abcd", "xxcd", "axxd", "abxx", "xbxd", "xxyy", "xyxy", "xyyx", "xxxd", "xxxx"]
        assert len({tied(*modules).digest for modules in kinds}) == len(kinds)

    def test_names_of_modules_and_of_nodes_do_not_count(self) -> None:
        assert tied("x", "y", "x", "y").digest == tied(*"2121", names="wvut").digest
        assert tied("", "a").digest == tied("shared", "shared").digest

    def test_a_module_with_one_living_node_is_not_shared(self) -> None:
        dead = Architecture((*tied("x", "y").nodes, Node("z", "conv", CONV, ("a",), "x")), "b")
        alone = tied("", "")
        assert dead.digest == alone.digest
        assert dead.describe() == alone.describe()

    def test_the_description_names_them(self) -> None:
        assert tied("x", "", "x").describe() == "conv_c8_k3@x > conv_c8_k3 > conv_c8_k3@x"

    @settings(deadline=None)
    @given(graphs(), st.data())
    def test_the_digest_is_that_of_the_graph(
        self, graph: Architecture, data: st.DataObject
    ) -> None:
        """With any modules of equal nodes shared, under any names and order."""
        drawn = [f"{n.kind}{n.args['k']}{data.draw(st.sampled_from('xy'))}" for n in graph.nodes]
        shared = Architecture(
            tuple(
                Node(n.name, n.kind, n.args, n.inputs, module)
                for n, module in zip(graph.nodes, drawn, strict=True)
            ),
            graph.output,
        )
        names = [node.name for node in graph.nodes]
        swapped = str.maketrans("xy", "yx")
        new = {INPUT: INPUT, **dict(zip(names, data.draw(st.permutations(names)), strict=True))}
        renamed = tuple(
            Node(
                new[n.name],
                n.kind,
                n.args,
                [new[s] for s in n.inputs],
                n.module.translate(swapped),
            )
            for n in shared.nodes
        )
        other = Architecture(renamed, new[graph.output])
        priority = dict(zip(names, data.draw(st.permutations(range(len(names)))), strict=True))
        assert other.digest == reordered(other, priority).digest == shared.digest

    def test_nodes_that_differ_cannot_share(self) -> None:
        with pytest.raises(
            SpaceError, match=r"share the module 'x', got 'a' .*_k3\) and 'b' .*_k5"
        ):
            Architecture((*tied("x").nodes, Node("b", "conv", {**CONV, "kernel": 5}, ("a",), "x")))
