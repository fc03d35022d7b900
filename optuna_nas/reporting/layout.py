"""Places of the nodes of a graph, in rows from top to bottom, and ways for its connections.

Source: layered drawings, Sugiyama, Tagawa and Toda 1981, doi:10.1109/TSMC.1981.4308636.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from itertools import pairwise
from statistics import fmean
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression

__all__ = ["Layout", "Point", "layered"]

SWEEPS = 12
STRAIGHT = 3.0
"""How much more each end of a step counts that is no node: the ways of long connections are
straight before nodes are in the middle of their neighbours."""

Point = tuple[float, float]
Rows = list[list[Hashable]]


class Layout(NamedTuple):
    """A graph with places.

    Args:
        places: Node -> (column, row): a length from the left, and a whole number from the top.
        ways: Edge -> the points that it runs through, one in each row.
    """

    places: Mapping[str, Point]
    ways: Mapping[tuple[str, str], list[Point]]


def layered(graph: nx.DiGraph[str], widths: Mapping[str, float], gap: float) -> Layout:
    """Place the nodes of a graph without cycles.

    Every node stands as low as those that read from it allow. A connection that skips rows has
    a place in each of them, so that it runs past the nodes there. In a row the places are so
    ordered that few connections cross, and drawn to their neighbours in other rows.

    Args:
        graph: Nodes in topological order, with at least one edge.
        widths: Of each node.
        gap: Smallest distance of two nodes beside each other.
    """
    height = _rows(graph)
    paths = {edge: _path(edge, height) for edge in graph.edges}
    steps = nx.DiGraph(step for path in paths.values() for step in pairwise(path))
    level = {point: row for path in paths.values() for row, point in _levels(path, height)}
    rows: Rows = [[] for _ in range(max(level.values()) + 1)]
    for point in [*graph.nodes, *(p for path in paths.values() for p in path[1:-1])]:
        rows[level[point]].append(point)
    _order(rows, steps)
    columns = _columns(rows, steps, widths, gap)
    place = {point: (columns[point], float(row)) for point, row in level.items()}
    ways = {edge: [place[point] for point in path] for edge, path in paths.items()}
    return Layout({node: place[node] for node in graph.nodes}, ways)


def _rows(graph: nx.DiGraph[str]) -> dict[str, int]:
    """Node -> row, of which the last is that of the output."""
    upward = list(nx.topological_generations(graph.reverse()))
    return {node: len(upward) - 1 - k for k, row in enumerate(upward) for node in row}


def _path(edge: tuple[str, str], height: Mapping[str, int]) -> list[Hashable]:
    """The ends of an edge, and between them a point of its own in each row that it skips."""
    source, target = edge
    return [source, *((edge, row) for row in range(height[source] + 1, height[target])), target]


def _levels(path: list[Hashable], height: Mapping[Any, int]) -> Iterable[tuple[int, Hashable]]:
    return enumerate(path, start=height[path[0]])


def _order(rows: Rows, steps: nx.DiGraph[Hashable]) -> None:
    """Sort each row by the means of the places of neighbours, down and up in turn."""
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        neighbours = steps.predecessors if down else steps.successors
        for before, row in pairwise(rows if down else rows[::-1]):
            place = {point: number for number, point in enumerate(before)}
            near = [[place[n] for n in neighbours(point)] for point in row]
            means = [fmean(places or [own]) for own, places in enumerate(near)]
            row[:] = [row[number] for number in np.argsort(means, kind="stable")]


def _columns(
    rows: Rows, steps: nx.DiGraph[Hashable], widths: Mapping[str, float], gap: float
) -> dict[Hashable, float]:
    """Columns near those of neighbours, in order and apart: the closest such ones by squares."""
    apart = [_apart(row, widths, gap) for row in rows]
    columns: dict[Hashable, float] = {}
    for row, least in zip(rows, apart, strict=True):
        columns |= zip(row, (least - least.mean()).tolist(), strict=True)
    near = {point: list(nx.all_neighbors(steps, point)) for point in columns}
    pull = {
        point: [STRAIGHT ** ((point not in widths) + (n not in widths)) for n in others]
        for point, others in near.items()
    }
    for sweep in range(4 * SWEEPS):
        for row, least in list(zip(rows, apart, strict=True))[:: 1 - 2 * (sweep % 2)]:
            wanted = [fmean([columns[n] for n in near[p]], pull[p]) for p in row]
            columns.update(
                zip(row, _rising(wanted, least, [sum(pull[p]) for p in row]), strict=True)
            )
    return columns


def _rising(wanted: list[float], least: NDArray[np.float64], weights: list[float]) -> list[float]:
    """Columns as close as can be to those wanted that are at least so far apart."""
    if len(wanted) == 1:
        return wanted
    found = isotonic_regression(np.array(wanted) - least, sample_weight=weights) + least
    return [float(column) for column in found]


def _apart(row: list[Hashable], widths: Mapping[Any, float], gap: float) -> NDArray[np.float64]:
    """Columns of a row that is as narrow as can be; ways take no width."""
    wide = np.array([widths.get(point, 0.0) for point in row])
    return np.concatenate(([0.0], np.cumsum((wide[:-1] + wide[1:]) / 2 + gap)))
