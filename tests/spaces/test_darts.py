"""DARTS: published networks, genotypes both ways, and equal cells that are one network."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from cells import DARTS_V2, GENOTYPE, P_DARTS, PC_DARTS
from every_set import every_set
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FixedTrial

import optuna_nas as nas
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces import DARTS, Genotype
from optuna_nas.spaces.darts import ALWAYS
from optuna_nas.spaces.genotype import OPERATORS, Edge

SPACE = DARTS()


@st.composite
def cells(draw: st.DrawFn) -> list[Edge]:
    edges: list[Edge] = []
    for number in range(2, 6):
        a, b = draw(st.sampled_from(list(combinations(range(number), 2))))
        one = draw(st.sampled_from(OPERATORS))
        edges += [(one, a), (draw(st.sampled_from(OPERATORS[one == "none" :])), b)]
    return edges


GENOTYPES = st.builds(Genotype.of, cells(), cells())


def swapped(edges: tuple[Edge, ...]) -> list[Edge]:
    """The same cell with nodes 2 and 3 exchanged, neither of which may read from the other."""
    exchanged = {2: 3, 3: 2}
    moved = [(operator, exchanged.get(source, source)) for operator, source in edges]
    return [*moved[2:4], *moved[:2], *moved[4:]]


@pytest.mark.parametrize(
    ("text", "parameters"), [(DARTS_V2, 3_349_342), (PC_DARTS, 3_634_678), (P_DARTS, 3_433_798)]
)
def test_published_networks_have_their_parameters(text: str, parameters: int) -> None:
    """3.349342, 3.63 and 3.43 million; the first as the code of the paper prints it."""
    drawn = DARTS(layers=20, channels=36).architecture(Genotype.parse(text))
    network = nas.build(drawn, (3, 32, 32), 10, device="meta")
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_a_small_network_by_hand() -> None:
    """One node a cell, three layers: a normal and two reduction cells."""
    space = DARTS(layers=3, channels=4, nodes=1, stem=2)
    normal, reduce = [("skip_connect", 0), ("none", 1)], [("skip_connect", 0), ("avg_pool_3x3", 1)]
    network = nas.build(space.architecture(Genotype.of(normal, reduce)), (3, 8, 8), 5)
    stem = 3 * 8 * 9 + 2 * 8
    cell1 = 8 * 4 + 2 * 4  # input 0 alone
    cell2 = (8 * 8 + 2 * 8) + (4 * 8 + 2 * 8) + (8 * 8 + 2 * 8)  # both inputs, one halved
    cell3 = (4 * 16 + 2 * 16) + (8 * 16 + 2 * 16) + (16 * 16 + 2 * 16)
    expected = stem + cell1 + cell2 + cell3 + (16 * 5 + 5)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@given(GENOTYPES)
def test_parameters_and_genotype_go_both_ways(genotype: Genotype) -> None:
    parameters = SPACE.parameters(genotype)
    assert SPACE.genotype(FixedTrial(parameters)) == genotype
    assert Genotype.parse(str(genotype)) == genotype
    assert SPACE(FixedTrial(parameters)) == SPACE.architecture(genotype)


@settings(max_examples=30)
@given(GENOTYPES)
def test_nodes_in_another_order_are_one_network(genotype: Genotype) -> None:
    cells = [
        edges if any(source == 2 for _, source in edges[2:4]) else swapped(edges)
        for edges in (genotype.normal, genotype.reduce)
    ]
    other = SPACE.architecture(Genotype.of(*cells))
    assert other.digest == SPACE.architecture(genotype).digest


def test_an_edge_left_out_counts_no_more_than_none() -> None:
    def drawn(left_out: int) -> str:
        node5 = [("sep_conv_3x3", 0), ("none", left_out)]
        return SPACE.architecture(Genotype.of([*GENOTYPE.normal[:6], *node5], GENOTYPE.reduce))

    assert drawn(1) == drawn(3)
    assert drawn(1).digest != SPACE.architecture(GENOTYPE).digest


def test_operators_and_inputs_count() -> None:
    def digest(*edges: Edge) -> str:
        cell = [*GENOTYPE.normal[:6], *edges]
        return SPACE.architecture(Genotype.of(cell, GENOTYPE.reduce)).digest

    given_edges = [
        (("sep_conv_3x3", 0), ("max_pool_3x3", 1)),
        (("max_pool_3x3", 0), ("sep_conv_3x3", 1)),
        (("sep_conv_5x5", 0), ("max_pool_3x3", 1)),
        (("dil_conv_5x5", 0), ("max_pool_3x3", 1)),
        (("sep_conv_3x3", 0), ("avg_pool_3x3", 1)),
        (("sep_conv_3x3", 0), ("max_pool_3x3", 2)),
    ]
    assert len({digest(*edges) for edges in given_edges}) == len(given_edges)


def test_counts_as_many_sets_of_parameters_as_documented() -> None:
    """In small: ways to choose inputs, times pairs of operators that leave an edge."""
    for nodes, operators, cell in (
        (1, ("none", "skip_connect", "sep_conv_3x3"), 8),
        (2, ("skip_connect",), 3),
    ):
        space = DARTS(layers=3, channels=2, nodes=nodes, operators=operators)
        assert len(every_set(space)) == cell**2
    assert 1 * 3 * 6 * 10 == 180
    assert len(OPERATORS) ** 2 - 1 == 63


def test_cells_that_nobody_reads_are_left_out() -> None:
    """All read the cell before the last: every second cell is dead, and so is its stem's copy."""
    edges = [("sep_conv_3x3", 0), ("none", 1), ("skip_connect", 0), ("none", 2)]
    drawn = DARTS(nodes=2).architecture(Genotype.of(edges, edges))
    alive = {node.name.split("_")[0] for node in drawn.alive}
    assert alive == {"stem", "cell2", "cell4", "cell6", "cell8", "classify"}


def test_images_of_odd_and_unequal_sides() -> None:
    network = nas.build(DARTS(input_shape=(1, 3, 7)).architecture(GENOTYPE), (1, 3, 7), 5)
    import torch

    assert network(torch.randn(2, 1, 3, 7)).shape == (2, 5)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"input_shape": (8, 8)}, r"input_shape=\(C, H, W\), got \(8, 8\)"),
        ({"input_shape": (3, 2, 8)}, "at least 3 x 3 pixels, to be halved 2 times"),
        ({"layers": 2}, r"layers of integers in \[3, inf\), got \(2,\)"),
        ({"channels": 1}, r"channels of integers in \[2, inf\)"),
        ({"nodes": 0}, r"nodes of integers in \[1, inf\)"),
        ({"stem": 0}, "stem of integers"),
        ({"operators": ("none",)}, "operators beside 'none', got .*'none'"),
        (
            {"operators": ("none", "sep_conv_3x3"), "allowed": ALWAYS},
            "operators beside 'none', got .* allowed=.'add'",
        ),
        ({"allowed": ("conv", "pool")}, "allowed to hold 'add', 'concat', 'factorized_reduce'"),
        ({"operators": ()}, "operators to hold different values"),
        ({"operators": ("conv",)}, "operators among"),
    ],
)
def test_bounds_that_allow_nothing_are_refused(bounds: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        DARTS(**bounds)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (DARTS(nodes=3), r"3 nodes in normal, got 4; use DARTS\(nodes=4\)"),
        (DARTS(operators=("none", "skip_connect")), "in normal operators of .'none', 'skip_con"),
    ],
)
def test_genotypes_of_another_space_are_refused(space: DARTS, message: str) -> None:
    for use in (space.architecture, space.parameters):
        with pytest.raises(SpaceError, match=message):
            use(GENOTYPE)
