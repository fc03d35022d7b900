"""One text for all graphs that differ in names and in order alone.

A graph is cut at every vertex that all paths from its input to its output pass, and each segment
between two cuts has a text of its own: a chain falls into single vertices, a network of cells into
its cells, of which equal ones are looked at once. In a segment, vertices are told apart by
colours: 64-bit integers, mixed with those of their neighbours until no more are told apart.

Source: colour refinement with individualisation, McKay and Piperno 2014, arXiv:1301.1493.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Vertex", "canonical_form"]

_PRIME = (1 << 61) - 1
_STEP, _SHIFT, _CHOSEN = 0x1E3779B97F4A7C15, 0x0C2B2AE3D27D4EB4, 0x165667B19E3779F9


class Vertex(NamedTuple):
    """One vertex of a graph.

    Args:
        label: What it is, on one line.
        sources: Numbers of the vertices that it reads from; 0 is the input of the graph.
        ordered: Whether the order of the sources counts; vertices of one label agree in it.
        group: Number of the first vertex of its group: vertices may belong together.
    """

    label: str
    sources: tuple[int, ...]
    ordered: bool
    group: int


Segment = tuple[Vertex, ...]


def canonical_form(vertices: Sequence[Vertex]) -> str:
    """The text of a graph: equal texts always mean isomorphic graphs.

    The converse holds where no two vertices are alike to refinement that no isomorphism exchanges,
    as in large regular graphs: for every network that we know of.

    Args:
        vertices: Vertices 1, 2, ... in topological order; the last depends on all.
    """
    return "\n\n".join(map(_form, _segments(vertices)))


def _segments(vertices: Sequence[Vertex]) -> list[Segment]:
    """Cut a graph; in each segment the vertices are 1, 2, ... again, and 0 is the cut before."""
    reader = list(range(len(vertices) + 1))  # the last vertex that reads from each
    member = list(reader)  # the last vertex of the group of each
    for number, vertex in enumerate(vertices, start=1):
        member[vertex.group] = number
        for source in vertex.sources:
            reader[source] = number
    segments, start, far = [], 0, 0
    for number in range(1, len(reader)):
        far = max(far, reader[number - 1], member[number])
        if far <= number:
            segments.append(tuple(_moved(v, start) for v in vertices[start:number]))
            start = number
    return segments


def _moved(vertex: Vertex, start: int) -> Vertex:
    label, sources, ordered, group = vertex
    return Vertex(label, tuple(source - start for source in sources), ordered, group - start)


@lru_cache(maxsize=4096)
def _form(segment: Segment) -> str:
    colours = [_SHIFT, *(_number(vertex.label) for vertex in segment)]
    colours = _refine(segment, colours)
    while (tied := _smallest_tie(colours)) is not None:
        colours[tied] = _mix(colours[tied], _CHOSEN)
        colours = _refine(segment, colours)
    order = sorted(range(1, len(colours)), key=colours.__getitem__)
    rank = {0: 0} | {number: place for place, number in enumerate(order, start=1)}
    groups = {n: min(rank[m] for m in members) for members in _groups(segment) for n in members}
    return "\n".join(_row(segment[n - 1], rank, groups.get(n, 0)) for n in order)


def _row(vertex: Vertex, rank: dict[int, int], group: int) -> str:
    sources = [rank[source] for source in vertex.sources]
    return f"{vertex.label} {sources if vertex.ordered else sorted(sources)} {group}"


def _groups(segment: Segment) -> list[list[int]]:
    """The vertices of each group of more than one."""
    groups: dict[int, list[int]] = {}
    for number, vertex in enumerate(segment, start=1):
        groups.setdefault(vertex.group, []).append(number)
    return [members for members in groups.values() if len(members) > 1]


def _refine(segment: Segment, colours: list[int]) -> list[int]:
    """Mix colours down and up the graph, and inside groups, until no more are told apart."""
    groups, known = _groups(segment), len(set(colours))
    while True:
        colours = _down(segment, colours)
        if len(set(colours)) < len(colours):
            colours = _inside(groups, _up(segment, colours))
        if len(set(colours)) in (known, len(colours)):
            return colours
        known = len(set(colours))


def _down(segment: Segment, colours: list[int]) -> list[int]:
    mixed = list(colours)
    for number, vertex in enumerate(segment, start=1):
        colour = mixed[number]
        if vertex.ordered:
            for source in vertex.sources:
                colour = _mix(colour, mixed[source])
        else:
            colour = _mix(colour, sum(_mix(0, mixed[source]) for source in vertex.sources))
        mixed[number] = colour
    return mixed


def _up(segment: Segment, colours: list[int]) -> list[int]:
    mixed, read = list(colours), [0] * len(colours)
    for number in range(len(segment), 0, -1):
        vertex = segment[number - 1]
        mixed[number] = colour = _mix(mixed[number], read[number])
        for position, source in enumerate(vertex.sources):
            read[source] += _mix(position * vertex.ordered, colour)
    return mixed


def _inside(groups: list[list[int]], colours: list[int]) -> list[int]:
    mixed = list(colours)
    for members in groups:
        together = sum(_mix(0, colours[number]) for number in members)
        for number in members:
            mixed[number] = _mix(colours[number], together)
    return mixed


def _mix(colour: int, other: int) -> int:
    return (colour * _STEP + other * (other + _SHIFT)) % _PRIME


@lru_cache(maxsize=4096)
def _number(label: str) -> int:
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big") % _PRIME


def _smallest_tie(colours: list[int]) -> int | None:
    """The first vertex among those that still share the smallest shared colour."""
    first: dict[int, int] = {}
    tied = [c for number, c in enumerate(colours) if first.setdefault(c, number) != number]
    return first[min(tied)] if tied else None
