"""Published genotypes, both ways."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cells import DARTS_V2, GENOTYPE, P_DARTS, PC_DARTS

from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces import Genotype

EDGE = ("skip_connect", 0)


@pytest.mark.parametrize("text", [DARTS_V2, PC_DARTS, P_DARTS])
def test_the_published_text_goes_both_ways(text: str) -> None:
    genotype = Genotype.parse(text)
    assert Genotype.parse(str(genotype)) == genotype
    assert genotype.normal_concat == genotype.reduce_concat == (2, 3, 4, 5)


def test_the_order_of_the_two_edges_of_a_node_means_nothing() -> None:
    edges = [("sep_conv_3x3", 1), ("max_pool_3x3", 0)]
    assert Genotype.of(edges, edges) == Genotype.of(edges[::-1], edges[::-1])


def test_whole_cells_need_not_say_what_they_return() -> None:
    assert Genotype.of(GENOTYPE.normal, GENOTYPE.reduce) == GENOTYPE


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"normal": (EDGE,)}, "normal to hold two edges for each node"),
        ({"reduce": ()}, "reduce to hold two edges for each node"),
        ({"normal": (1, 2)}, r"normal to hold edges \(operator, input\), got \(1, 2\)"),
        ({"normal": (EDGE, ("conv", 1))}, "operators of node 2 of normal among .* got 'conv'"),
        ({"reduce": (EDGE, ("none", 2))}, "inputs of node 2 of reduce from 0 to 1, got 2"),
        ({"normal": (EDGE, EDGE)}, "two different inputs of node 2 of normal, got 0 twice"),
        ({"normal": (("none", 0), ("none", 1))}, "an operator beside 'none' at node 2 of normal"),
        ({"normal_concat": (3, 4, 5)}, r"normal_concat of all nodes from 2 to 5, got \(3, 4, 5\)"),
    ],
)
def test_what_is_no_genotype_is_refused(part: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        replace(GENOTYPE, **part)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Genotype(",
        "[]",
        "Genotype([], [2])",
        "Genotype(normal=[], normal_concat=[2])",
        "Genotype(normal=print(1), normal_concat=[], reduce=[], reduce_concat=[])",
        "Genotype(normal=[], normal_concat=range(2, 'a'), reduce=[], reduce_concat=[])",
    ],
)
def test_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(SpaceError, match=r"expected a genotype such as Genotype\(normal="):
        Genotype.parse(text)
