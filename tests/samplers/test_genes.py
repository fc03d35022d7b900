import math

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

import optuna_nas as nas
from optuna_nas.architecture import INPUT, Architecture, Node
from optuna_nas.samplers.genes import Encoder, genes
from optuna_nas.samplers.virtual import Proposal, draw, heir, replay


def test_parameters_are_numbers_between_one_and_two_or_flags():
    distributions = {
        "depth": IntDistribution(2, 10),
        "rate": FloatDistribution(1e-4, 1e-2, log=True),
        "kind": CategoricalDistribution(["conv", "pool"]),
        "fixed": IntDistribution(3, 3),
    }
    network = Proposal({"depth": 6, "rate": 1e-3, "kind": "pool", "fixed": 3}, distributions)
    assert genes(network) == {"depth": 1.5, "rate": 1.5, "kind=1": 1.0}


def test_paths_do_not_see_nodes_that_add_up():
    graph = Architecture(
        (
            Node("a", "conv", {}, (INPUT,)),
            Node("b", "pool", {}, ("a",)),
            Node("c", "conv", {}, (INPUT,)),
            Node("d", "add", {}, ("a", "b", "c")),
            Node("dead", "pool", {}, (INPUT,)),
        ),
        "d",
    )
    found = genes(Proposal({}, {}, graph))
    paths = {name: count for name, count in found.items() if name.startswith("graph: path")}
    assert paths == {"graph: path >conv": 2, "graph: path >conv>pool": 1}
    assert found["graph: nodes conv"] == 2


def test_nodes_that_take_the_weights_of_others_are_told_from_those_that_have_their_own():
    def of(*modules):
        chain = zip("abc", (INPUT, "a", "b"), modules, strict=True)
        nodes = tuple(Node(name, "conv", {}, (read,), module) for name, read, module in chain)
        return genes(Proposal({}, {}, Architecture(nodes)))

    own, pair, all_one = of("x", "y", "z"), of("x", "y", "x"), of("x", "x", "x")
    assert "graph: shared conv" not in own
    assert pair == {**own, "graph: shared conv": 1.0} == of("u", "v", "v")
    assert all_one == {**own, "graph: shared conv": 2.0}


def graph(draw):
    """A graph of up to seven nodes, each of which reads from one or more before it."""
    names, nodes = [INPUT], []
    for number in range(draw(st.integers(1, 7))):
        sources = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3))
        kind = draw(st.sampled_from(["conv", "pool"])) if len(sources) == 1 else "add"
        nodes.append(Node(f"n{number}", kind, {}, tuple(sources)))
        names.append(nodes[-1].name)
    return Architecture(tuple(nodes))


@given(st.composite(graph)())
def test_the_shape_of_a_graph_is_what_counting_along_every_path_gives(architecture):
    kinds = {node.name: node.kind for node in architecture.nodes} | {INPUT: "input"}
    sources = {node.name: node.inputs for node in architecture.nodes}

    def paths(name):
        if name == INPUT:
            return [[]]
        return [[*path, kinds[name]] for source in sources[name] for path in paths(source)]

    found = genes(Proposal({}, {}, architecture))
    alive = {node.kind for node in architecture.alive} - {"add"}
    for kind in (*alive, "any"):
        counts = [
            sum(k != "add" and kind in (k, "any") for k in path)
            for path in paths(architecture.output)
        ]
        assert found[f"graph: most {kind}"] == max(counts)
        assert found[f"graph: least {kind}"] == min(counts)
        assert found[f"graph: total {kind}"] == pytest.approx(math.log1p(sum(counts)))


def test_choices_that_a_graph_shows_are_the_last_columns():
    networks = [{"a=1": 1.0, "depth": 1.5, "graph: nodes conv_a=1": 2.0}] * 2
    assert Encoder(networks).telling == 2
    assert Encoder(networks)(networks[:1]).tolist() == [[1.5, 2.0, 1.0]]
    assert Encoder([{"a=1": 1.0, "depth": 1.5}] * 2).telling == 2


def test_what_only_one_network_has_is_no_column():
    encode = Encoder([{"a": 1.0, "b": 2.0}, {"a": 1.5}])
    assert encode([{"a": 1.5, "b": 1.0, "new": 3.0}, {}]).tolist() == [[1.5], [0.0]]


def test_a_proposal_is_drawn_and_replayed_outside_any_study():
    import numpy as np

    space = nas.spaces.CNN(input_shape=(1, 8, 8))
    proposal = draw(space, heir((), 1.0, np.random.default_rng(0)))
    assert replay(space, proposal).identity == proposal.identity
    child = draw(space, heir((proposal,), 0.0, np.random.default_rng(1)))
    assert child.identity == proposal.identity
    study = optuna.create_study()
    study.enqueue_trial(proposal.params)
    assert space(study.ask()).digest == proposal.drawn.digest
