"""NAS-Bench-101: published cells both ways, their parameters, and isomorphic cells."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterator
from itertools import combinations, product
from pathlib import Path
from typing import Any

import optuna
import pytest
from cells import CONV1, CONV3, INCEPTION, POOL
from every_set import every_set
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from optuna.trial import FixedTrial

import optuna_nas as nas
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces import MatrixCell, NASBench101
from optuna_nas.spaces.matrix_cell import OPERATORS

SPACE = NASBench101()
PUBLISHED = NASBench101(channels=128)
EC_NAS = {-1: "input", -2: "output", 0: CONV3, 1: CONV1, 2: POOL}


@st.composite
def cells(draw: st.DrawFn) -> MatrixCell:
    vertices = draw(st.integers(2, 7))
    pairs = list(combinations(range(vertices), 2))
    edges = draw(st.sets(st.sampled_from(pairs), min_size=1, max_size=9))
    inner = [draw(st.sampled_from(OPERATORS)) for _ in range(vertices - 2)]
    try:
        return MatrixCell.of(edges, ["input", *inner, "output"])
    except SpaceError:  # no path from input to output
        assume(False)
        raise


def renumbered(cell: MatrixCell, order: list[int]) -> MatrixCell:
    """The same graph, its inner vertices in another topological order."""
    place = {0: 0, len(cell.ops) - 1: len(cell.ops) - 1}
    while len(place) < len(cell.ops):
        free = [v for v in order if v not in place and all(a in place for a in cell.sources(v))]
        place[free[0]] = len(place) - 1
    ops = [cell.ops[old] for old, _ in sorted(place.items(), key=lambda item: item[1])]
    return MatrixCell.of([(place[a], place[b]) for a, b in cell.edges], ops)


def parameters(architecture: nas.Architecture) -> int:
    network = nas.build(architecture, (3, 32, 32), 10, device="meta")
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_published_network_has_its_parameters() -> None:
    """2,694,282 trainable parameters, as published with the data."""
    assert parameters(PUBLISHED.architecture(INCEPTION, as_written=True)) == 2_694_282


def test_cells_of_a_published_table_have_their_parameters(
    data_file: Callable[[str], Path],
) -> None:
    """All 2,532 cells of five vertices are different ones; every twentieth is built."""
    published = list(ec_nas(data_file("ec_nas.csv.gz")))
    assert len({cell.canonical() for cell, _ in published}) == len(published) == 2532
    for cell, expected in published[::20]:
        assert parameters(PUBLISHED.architecture(cell, as_written=True)) == expected


def ec_nas(path: Path) -> Iterator[tuple[MatrixCell, int]]:
    with gzip.open(path, "rt", newline="") as file:
        lines = {line["hash"]: line for line in csv.DictReader(file) if line["space"] == "5V9E"}
    for line in lines.values():
        ops = [EC_NAS[code] for code in json.loads(line["ops"])]
        yield MatrixCell(json.loads(line["adjacency"]), ops), int(line["params"])


def test_channels_that_leave_a_rest_go_to_the_first_vertices() -> None:
    """Ten channels among three vertices; the one that another needs whole is as wide as it."""
    edges = [(0, 1), (1, 2), (1, 3), (0, 4), (4, 5), (2, 5), (3, 5)]
    cell = MatrixCell.of(edges, ["input", CONV1, CONV3, CONV3, POOL, "output"])
    drawn = NASBench101(channels=10, stacks=1, cells=1).architecture(cell, as_written=True)
    given_args = {node.name: dict(node.args) for node in drawn.nodes}
    widths = [given_args[f"stack1_cell1_vertex{v}"]["channels"] for v in (1, 2, 3)]
    assert widths == [4, 4, 3]
    assert given_args["stack1_cell1_edge0_4"] == {"channels": 3, "kernel": 1}
    assert given_args["stack1_cell1_edge1_3"] == {"channels": 3}


@given(cells())
def test_parameters_and_cell_go_both_ways(cell: MatrixCell) -> None:
    drawn = SPACE.parameters(cell)
    assert SPACE.cell(FixedTrial(drawn)) == cell.pruned()
    assert SPACE(FixedTrial(drawn)) == SPACE.architecture(cell)
    assert MatrixCell(cell.matrix, cell.ops) == cell


@given(cells(), st.data())
def test_isomorphic_cells_are_one_network(cell: MatrixCell, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(1, len(cell.ops) - 1)))
    other = renumbered(cell, order)
    assert other.canonical() == cell.canonical()
    assert SPACE.architecture(other) == SPACE.architecture(cell)


@settings(max_examples=50)
@given(cells())
def test_pruning_and_numbering_twice_change_nothing_more(cell: MatrixCell) -> None:
    assert cell.pruned().pruned() == cell.pruned()
    assert cell.canonical().canonical() == cell.canonical()
    assert sorted(cell.canonical().ops) == sorted(cell.pruned().ops)


def test_draws_are_never_refused_and_keep_to_their_edges() -> None:
    for edges in (1, 2, 6, 9):
        space = NASBench101(edges=edges)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        for _ in range(300):
            cell = space.cell(study.ask())
            assert 1 <= len(cell.edges) <= edges
            assert cell == cell.pruned()


def test_up_to_four_vertices_there_are_91_networks() -> None:
    """The number of unique cells that the paper counts, from all sets of parameters."""
    drawn = every_set(NASBench101(vertices=4, stacks=1, cells=1))
    assert len(drawn) == 1 + 2 * 3 * 2 + 10 * 3**2
    assert len({architecture.digest for architecture in drawn}) == 1 + 6 + 84


def test_up_to_five_vertices_there_are_2532_cells() -> None:
    found = set()
    pairs = list(combinations(range(5), 2))
    for edges in (e for n in range(1, 10) for e in combinations(pairs, n)):
        if {b for _, b in edges} != {1, 2, 3, 4} or {a for a, _ in edges} != {0, 1, 2, 3}:
            continue  # a dead vertex: counted among the smaller cells
        for inner in product(OPERATORS, repeat=3):
            found.add(MatrixCell.of(edges, ["input", *inner, "output"]).canonical())
    assert 91 + len(found) == 2532


@pytest.mark.parametrize(
    ("matrix", "ops", "message"),
    [
        (((0,),), ("input",), "at least 2 x 2, got"),
        (((0, 1), (1, 0)), ("input", "output"), "upper triangular matrix of 0 and 1"),
        (((0, 2), (0, 0)), ("input", "output"), "upper triangular matrix of 0 and 1"),
        (((0, 1, 1), (0, 0)), ("input", "output"), "upper triangular matrix of 0 and 1"),
        ((0, 1), ("input", "output"), r"a matrix of 0 and 1, got \(0, 1\)"),
        (((0, 1), (0, 0)), ("input", CONV1, "output"), "an operator for each of 2 vertices"),
        (((0, 1), (0, 0)), ("output", "input"), r"ops \('input', \.\.\., 'output'\)"),
        (
            ((0, 1, 0), (0, 0, 1), (0, 0, 0)),
            ("input", "conv", "output"),
            "between, got .'input', 'conv'",
        ),
        (((0, 0), (0, 0)), ("input", "output"), "a path from input to output"),
    ],
)
def test_what_is_no_cell_is_refused(matrix: Any, ops: tuple[str, ...], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        MatrixCell(matrix, ops)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"input_shape": (8, 8)}, r"input_shape=\(C, H, W\), got \(8, 8\)"),
        ({"input_shape": (3, 2, 2)}, "halved 2 times, got .*; use fewer stacks or larger images"),
        ({"vertices": 1}, r"vertices of integers in \[2, inf\)"),
        ({"edges": 0}, r"edges of integers in \[1, inf\)"),
        ({"stacks": 0}, "stacks of integers"),
        ({"cells": 1.5}, "cells of integers"),
        ({"channels": 4}, r"channels of integers in \[5, inf\), got \(4,\)"),
        ({"operators": ("conv",)}, "operators among"),
    ],
)
def test_bounds_that_allow_nothing_are_refused(bounds: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        NASBench101(**bounds)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (NASBench101(vertices=6), "at most 6 vertices and 9 edges, got 7 and 9"),
        (NASBench101(edges=8), "at most 7 vertices and 8 edges, got 7 and 9"),
        (NASBench101(operators=(CONV1, CONV3)), "operators of .* got .*'maxpool3x3'"),
    ],
)
def test_cells_of_another_space_are_refused(space: NASBench101, message: str) -> None:
    for use in (space.architecture, space.parameters):
        with pytest.raises(SpaceError, match=message):
            use(INCEPTION)
