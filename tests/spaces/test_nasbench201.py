"""Cells with six fixed edges: published genotypes, structures, parameters and FLOPs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from optuna_nas.exceptions import SpaceError
from optuna_nas.model import build
from optuna_nas.objectives import FLOPs, Parameters
from optuna_nas.objectives.candidate import Candidate
from optuna_nas.spaces import NASBench201
from optuna_nas.spaces.nasbench201 import (
    EDGES,
    OPERATORS,
    genotype,
    operators_of,
    published_form,
)
from optuna_nas.testing import SpaceConformance
from optuna_nas.testing.spaces import unfolded

SMALL = NASBench201(cells=1, channels=2, input_shape=(3, 8, 8))
CELLS = st.tuples(*[st.sampled_from(OPERATORS)] * len(EDGES))
ALIKE = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"


class TestSmallCells(SpaceConformance):
    """Without dead branches: what is dead has no effect, so that a cell as written breaks laws."""

    @pytest.fixture
    def space(self) -> NASBench201:
        return NASBench201(cells=2, channels=3, input_shape=(2, 5, 3))

    @pytest.fixture
    def input_shape(self) -> tuple[int, ...]:
        return (2, 5, 3)


@pytest.fixture(scope="module")
def published(data_file: Callable[[str], Path]) -> dict[str, Any]:
    with np.load(data_file("nb201_cifar10.npz")) as arrays:
        return {name: arrays[name] for name in ("arch_str", "iso_rep", "params_m", "flops_m")}


def test_published_genotypes_go_there_and_back(published: dict[str, Any]) -> None:
    texts = published["arch_str"].tolist()
    assert [genotype(operators_of(text)) for text in texts] == texts


def test_the_published_structures_are_found(published: dict[str, Any]) -> None:
    first: dict[str, int] = {}
    texts = published["arch_str"].tolist()
    found = [first.setdefault(published_form(operators_of(t)), i) for i, t in enumerate(texts)]
    assert found == published["iso_rep"].tolist()
    assert len(first) == 6466


def test_a_published_structure_is_one_digest_but_for_what_is_shared(
    published: dict[str, Any],
) -> None:
    """The published form cannot tell a node that is read twice from two equal nodes."""
    space = NASBench201(cells=1)
    drawn = [space.architecture(text) for text in published["arch_str"].tolist()]
    assert len({architecture.digest for architecture in drawn}) == 5425
    trees: dict[int, str] = {}
    for architecture, structure in zip(drawn, published["iso_rep"].tolist(), strict=True):
        tree = unfolded(architecture)
        assert trees.setdefault(structure, tree) == tree
    assert len(set(trees.values())) == 4930


def test_parameters_and_flops_are_the_published_ones(published: dict[str, Any]) -> None:
    """Published are multiplications, each with its addition as one, and the head's biases."""
    space = NASBench201(keep_dead=True)
    for row in range(0, 15625, 1250):
        candidate = Candidate(space.architecture(str(published["arch_str"][row])), (3, 32, 32), 10)
        parameters = Parameters()(candidate).value / 1e6
        flops = (FLOPs()(candidate).value / 2 + 10) / 1e6
        assert parameters == pytest.approx(float(published["params_m"][row]), rel=1e-6)
        assert flops == pytest.approx(float(published["flops_m"][row]), rel=1e-6)


def test_with_one_stage_nothing_is_halved() -> None:
    space = NASBench201(input_shape=(1, 8, 8), cells=2, channels=4, stages=1)
    architecture = space.architecture(genotype(("nor_conv_3x3",) * 6))
    assert {node.name.partition("_")[0] for node in architecture.nodes} == {
        "stem",
        "stage1",
        "norm",
        "classify",
    }
    assert len([node for node in architecture.nodes if node.kind == "relu_conv"]) == 12
    assert space.architecture(space.genotype(architecture)) == architecture


@given(CELLS, st.booleans())
def test_a_network_tells_a_genotype_that_builds_it(cell: tuple[str, ...], dead: bool) -> None:
    space = NASBench201(cells=1, channels=2, keep_dead=dead)
    architecture = space.architecture(genotype(cell))
    told = space.genotype(architecture)
    assert space.architecture(told) == architecture
    if dead and set(cell) <= {"none", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"}:
        assert told == genotype(cell)


@given(CELLS)
def test_without_dead_branches_it_computes_the_same_but_for_learned_numbers(
    cell: tuple[str, ...],
) -> None:
    """With biases of zero in the cells, as they begin, what is dead adds nothing."""
    text, (x, y) = genotype(cell), torch.randn(2, 2, 3, 8, 8)
    written = build(
        NASBench201(cells=1, channels=2, keep_dead=True).architecture(text), (3, 8, 8), 5
    ).eval()
    living = build(SMALL.architecture(text), (3, 8, 8), 5).eval()
    if "norm" in dict(living.named_children()):
        living.load_state_dict({name: written.state_dict()[name] for name in living.state_dict()})
        torch.testing.assert_close(living(x), written(x))
    else:
        torch.testing.assert_close(written(x), written(y))
        torch.testing.assert_close(living(x), living(y))


def test_draws_the_cell_that_the_parameters_name() -> None:
    cell = ("nor_conv_3x3", "none", "avg_pool_3x3", "skip_connect", "skip_connect", "none")
    params = {f"edge{a}-{b}": operator for (a, b), operator in zip(EDGES, cell, strict=True)}
    drawn = SMALL(FixedTrial(params))
    assert drawn == SMALL.architecture(genotype(cell))
    assert drawn.describe().startswith(
        "conv_c2_k3 > [edge0_1=relu_conv_c2_k3 > add(input,edge0_1)] > reduction_c4 > "
    )


def test_equal_sums_are_one_network_however_they_are_nested() -> None:
    nested = ALIKE.format("none", "nor_conv_1x1", "none", "nor_conv_3x3", "none", "skip_connect")
    flat = ALIKE.format("nor_conv_1x1", "none", "none", "nor_conv_3x3", "skip_connect", "none")
    assert SMALL.architecture(nested).digest == SMALL.architecture(flat).digest


def test_a_cell_in_which_nothing_arrives_is_a_bias() -> None:
    text = ALIKE.format("nor_conv_3x3", "none", "none", "none", "none", "avg_pool_3x3")
    network = build(SMALL.architecture(text), (3, 8, 8), 5)
    assert [tuple(p.shape) for p in network.parameters()] == [(5,)]
    network(torch.randn(2, 3, 8, 8)).sum().backward()
    assert all(p.grad.abs().min() > 0 for p in network.parameters())


def test_counts_as_many_cells_as_documented() -> None:
    assert len({genotype(cell) for cell in product(OPERATORS, repeat=6)}) == 15625


@pytest.mark.parametrize(
    "text",
    [
        "",
        "|none~0|+|none~0|none~1|",
        ALIKE.format(*["none"] * 6) + "|",
        ALIKE.format(*["none"] * 6).replace("~2", "~1"),
        ALIKE.format(*["none"] * 5, "dil_conv"),
    ],
)
def test_malformed_genotypes_are_refused(text: str) -> None:
    with pytest.raises(SpaceError, match=r"expected .*nor_conv_3x3.* got"):
        operators_of(text)


def test_what_the_space_does_not_draw_is_refused() -> None:
    space = NASBench201(operators=("none", "nor_conv_3x3"))
    with pytest.raises(SpaceError, match=r"operators among .* got .*skip_connect"):
        space.architecture(ALIKE.format(*["skip_connect"] * 6))
    with pytest.raises(SpaceError, match="expected a network of NASBench201"):
        space.genotype(SMALL.architecture(ALIKE.format(*["nor_conv_1x1"] * 6)))
    for wrong in (("none",) * 5, ("none",) * 5 + ("zero",)):
        with pytest.raises(SpaceError, match="expected 6 operators of none"):
            genotype(wrong)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"input_shape": (8, 8)}, r"input_shape=\(C, H, W\), got \(8, 8\)"),
        ({"input_shape": (3, 2, 2)}, "halved twice, of 3 pixels or more"),
        ({"operators": ()}, "operators to hold different values"),
        ({"operators": ("none",)}, "operators of which one does something"),
        ({"operators": ("conv",)}, "operators among"),
        ({"cells": 0}, r"cells of integers in \[1, inf\), got \(0,\)"),
        ({"channels": 1.5}, "channels of integers"),
        ({"stages": 0}, r"stages of integers in \[1, inf\), got \(0,\)"),
        ({"keep_dead": 1}, "keep_dead among"),
    ],
)
def test_bounds_that_allow_nothing_are_refused(bounds: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        NASBench201(**bounds)
