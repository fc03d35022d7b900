"""Cells that differ in the numbers of their vertices alone, numbered alike."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Vertex", "canonical"]

Vertex = tuple[str, tuple[tuple[str, int], ...]]
"""Operator of a vertex, and the edges that it reads from: (operator of the edge, number)."""


def canonical(vertices: Sequence[Vertex], inputs: int = 1) -> list[Vertex]:
    """Number vertices anew, so that isomorphic cells become equal.

    Of all topological orders it is the one whose list of vertices comes first: vertices are taken
    one by one, each time the least of those that can be read, and ties are followed all.

    Args:
        vertices: Vertices `inputs`, `inputs` + 1, ..., each after those that it reads from.
        inputs: Number of inputs of the cell, which are the vertices 0, 1, ... and keep theirs.
    """
    orders = [{number: number for number in range(inputs)}]
    found: list[Vertex] = []
    for number in range(inputs, inputs + len(vertices)):
        steps = [
            (_renumbered(vertex, order), {**order, old: number})
            for order in orders
            for old, vertex in enumerate(vertices, start=inputs)
            if old not in order and all(source in order for _, source in vertex[1])
        ]
        least = min(vertex for vertex, _ in steps)
        orders = [order for vertex, order in steps if vertex == least]
        found.append(least)
    return found


def _renumbered(vertex: Vertex, order: dict[int, int]) -> Vertex:
    operator, edges = vertex
    return operator, tuple(sorted((label, order[source]) for label, source in edges))
