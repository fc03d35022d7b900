"""What a space chooses between is found by drawing from it."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mixing import CELLS, OUTPUTS, SHAPE, STACKED, relaxed, staged, strengths
from optuna.trial import FixedTrial
from torch import nn

import optuna_nas as nas
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces.genotype import OPERATORS
from optuna_nas.spaces.nasbench201 import EDGES
from optuna_nas.supernet.differentiable import relax
from optuna_nas.supernet.differentiable.graph import NONE, SKIP, Operator, substitute

RELAXED = [relaxed(space) for space in (CELLS, staged, STACKED)]


@settings(max_examples=60)
@given(data=st.data(), number=st.integers(0, 2))
def test_what_is_kept_is_what_the_space_draws(data, number) -> None:
    relaxation = RELAXED[number]
    kept = relaxation.kept(data.draw(strengths(relaxation)))
    params = relaxation.params(kept)
    trial = FixedTrial(params)
    drawn = relaxation.space(trial)
    assert trial.params == params
    assert relaxation.network(params) == drawn
    discrete, same = relaxation.discrete(kept), substitute(drawn, {})
    assert Counter(map(Operator.of, discrete.alive)) == Counter(map(Operator.of, same.alive))
    if relaxation is not RELAXED[2]:  # DARTS numbers the nodes of a cell anew
        assert discrete.digest == same.digest


def test_edges_of_cells_are_choices() -> None:
    cells = RELAXED[0]
    assert [choice.name for choice in cells.choices] == [f"edge{a}-{b}" for a, b in EDGES]
    for choice, free in zip(cells.choices, cells.free, strict=True):
        assert choice.labels == CELLS.operators
        assert free == (True, True, False, False, True)
        assert len(choice.operators) == 3  # one in each stage
        for operators in choice.operators.values():
            assert operators[:2] == (NONE, SKIP)


def test_parameters_of_one_node_are_one_choice() -> None:
    first, depth = RELAXED[1].choices
    assert set(first.name.split(", ")) == {
        "first.kind",
        "first.conv.kernel",
        "first.separable.kernel",
    }
    assert first.labels == ("conv, 1", "conv, 3", "separable, 1", "separable, 3")
    assert depth.labels == ("1", "2")
    assert [depth.skips(option) for option in (0, 1)] == [True, False]


def test_each_node_of_a_darts_cell_keeps_its_two_strongest_edges() -> None:
    stacked = RELAXED[2]
    assert [len(join) for join in stacked.joins] == [2, 3, 2, 3]
    weak = [0.01 * (1 + option) for option in range(len(OPERATORS))]
    strength = {choice.name: list(weak) for choice in stacked.choices}
    strength["normal.node3.from0"][OPERATORS.index("none")] = 9.0
    strength["normal.node3.from1"][OPERATORS.index("skip_connect")] = 0.5
    strength["normal.node3.from2"][OPERATORS.index("dil_conv_3x3")] = 0.4
    kept = stacked.kept([torch.tensor(strength[choice.name]) for choice in stacked.choices])
    params = stacked.params(kept)
    assert params["normal.node3.inputs"] == "1-2"
    assert params["normal.node3.from1"] == "skip_connect"
    assert params["normal.node3.from2"] == "dil_conv_3x3"
    assert len(kept) == 8


def chain(channels: int = 4, stride: int = 1) -> nas.Architecture:
    args = {"channels": channels, "stride": stride}
    return nas.Architecture.chain([("conv", "conv", args), ("classify", "classify", {})])


def rewired(trial) -> nas.Architecture:
    source = trial.suggest_categorical("source", ["one", "two"])
    kernels = {"one": 1, "two": 3}
    nodes = [
        nas.Node(name, "conv", {"channels": 4, "kernel": kernel}, ("input",))
        for name, kernel in kernels.items()
    ]
    last = nas.Node("last", "conv", {"channels": 4}, (source,))
    both = nas.Node("both", "add", {}, ("one", "two", "last"))
    return nas.Architecture((*nodes, last, both, nas.Node("end", "classify", {}, ("both",))))


def shared(trial) -> nas.Architecture:
    args = {"channels": 1, "kernel": trial.suggest_categorical("kernel", [1, 3])}
    one = nas.Node("one", "conv", args, ("input",))
    again = nas.Node("again", "conv", args, ("one",), module="one")
    return nas.Architecture((one, again, nas.Node("end", "classify", {}, ("again",))))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (lambda t: chain(channels=t.suggest_int("width", 4, 8, step=4)), r"'width'.*\(8, 4, 4\)"),
        (
            lambda t: chain(stride=t.suggest_categorical("stride", [1, 2])),
            r"'stride'.*\(4, 2, 2\)",
        ),
        (rewired, r"'source'.*other wires"),
        (lambda t: chain(int(4 * t.suggest_float("factor", 1, 2))), r"'factor' from 1.0 to 2.0"),
        (lambda t: chain(t.suggest_int("width", 4, 200)), "'width'"),
        (lambda t: nn.Linear(t.suggest_int("width", 1, 2), 3), "Architecture.*got Linear"),
        (lambda t: chain(), "got none"),
        (shared, "share a module"),
        (nas.spaces.DARTS(input_shape=SHAPE, operators=("skip_connect",)), "'skip_connect'"),
        (nas.spaces.MobileNet(input_shape=SHAPE), "one shape.*'stem.downsample"),
        (nas.spaces.NASBench101(input_shape=SHAPE), "got 'edge"),
    ],
)
def test_other_spaces_are_refused_by_the_name_of_a_parameter(space, message) -> None:
    with pytest.raises(SpaceError, match=message):
        relax(space, SHAPE, OUTPUTS)


def test_choices_that_depend_on_each_other_are_refused() -> None:
    def space(trial) -> nas.Architecture:
        one, two = (trial.suggest_categorical(name, [1, 3]) for name in ("one", "two"))
        kernels = {"first": one, "second": 5 if one == two == 1 else two}
        nodes = [(n, "conv", {"channels": 4, "kernel": k}) for n, k in kernels.items()]
        return nas.Architecture.chain([*nodes, ("classify", "classify", {})])

    with pytest.raises(SpaceError, match="on their own"):
        relax(space, SHAPE, OUTPUTS)
