"""Places of the nodes of a graph."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from optuna_nas.reporting.layout import layered

GAP = 0.5


@st.composite
def graphs(draw: st.DrawFn) -> nx.DiGraph[str]:
    """Graphs in which every node but the first reads from one at least, and all are read."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_node("0")
    for number in range(1, draw(st.integers(2, 12))):
        for source in draw(st.sets(st.integers(0, number - 1), min_size=1, max_size=3)):
            graph.add_edge(str(source), str(number))
    last = str(len(graph))
    graph.add_edges_from((node, last) for node in list(graph) if not graph.out_degree(node))
    return graph


@settings(max_examples=40)
@given(graphs(), st.data())
def test_nodes_are_below_what_they_read_and_ways_pass_all_others(
    graph: nx.DiGraph[str], data: st.DataObject
) -> None:
    widths = {node: data.draw(st.floats(0.1, 9)) for node in graph}
    layout = layered(graph, widths, GAP)
    inside: dict[float, list[tuple[float, float]]] = {}
    for node, (column, row) in layout.places.items():
        inside.setdefault(row, []).append((column, widths[node]))
    for (source, target), way in layout.ways.items():
        assert (way[0], way[-1]) == (layout.places[source], layout.places[target])
        rows = [row for _, row in way]
        assert rows == list(range(int(rows[0]), int(rows[0]) + len(rows))) and len(rows) > 1
        for column, row in way[1:-1]:
            inside[row].append((column, 0.0))
    for members in inside.values():
        for (left, wide), (right, other) in pairwise(sorted(members)):
            assert right - left >= (wide + other) / 2 + GAP - 1e-6


def test_a_chain_is_a_line_and_branches_are_beside_it() -> None:
    chain: nx.DiGraph[str] = nx.DiGraph(pairwise("abcd"))
    places = layered(chain, dict.fromkeys("abcd", 1.0), GAP).places
    assert len({column for column, _ in places.values()}) == 1
    skip: nx.DiGraph[str] = nx.DiGraph([*pairwise("abcd"), ("a", "d")])
    layout = layered(skip, dict.fromkeys("abcd", 1.0), GAP)
    beside = {column for column, _ in layout.ways["a", "d"][1:-1]}
    assert all(abs(column - layout.places["b"][0]) >= 0.5 + GAP - 1e-6 for column in beside)
