"""What repeats in a network: equal parts in a row, such as layers or cells, are told once.

A network is cut after each node that all paths from its input to its output pass; what lies
between two cuts is a segment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple, Protocol

__all__ = ["LONGEST", "Run", "fold", "label", "line", "users"]

LONGEST = 1000
"""Characters of a line, at most; a longer one tells how many nodes of each sort there are."""


class Node(Protocol):
    """As `architecture.Node`; its text is what it is, in short."""

    @property
    def name(self) -> str:
        """Unique in the graph."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the nodes that it reads."""

    @property
    def module(self) -> str:
        """Name of the module that computes it."""


Segment = Sequence[Node]


class Run(NamedTuple):
    """A part of a network that is repeated without a break.

    Args:
        times: How often.
        part: The segments of the first of its repetitions.
        last: The last node of the last of them.
    """

    times: int
    part: Sequence[Segment]
    last: Node


def line(nodes: Sequence[Node]) -> str:
    """The living nodes of a network in one readable line; see `Architecture.describe`."""
    shared = users(nodes)
    text = " > ".join(_times(run, shared) for run in fold(nodes))
    if len(text) <= LONGEST:
        return text
    sorts = Counter(label(node, shared) for node in nodes)
    counted = (f"{count} x {sort}" if count > 1 else sort for sort, count in sorts.items())
    return f"{len(nodes)} nodes: {', '.join(counted)}"


def fold(nodes: Sequence[Node]) -> list[Run]:
    """The living nodes of a network, in order, as parts and how often each is repeated."""
    shared, segments = users(nodes), _segments(nodes)
    texts = [_text(segment, shared) for segment in segments]
    runs, start = list[Run](), 0
    while start < len(texts):
        period, times = _repetition(texts[start:])
        end = start + period * times
        runs.append(Run(times, segments[start : start + period], segments[end - 1][-1]))
        start = end
    return runs


def users(nodes: Sequence[Node]) -> Mapping[str, int]:
    """Name of a module -> how many of the nodes it computes."""
    return Counter(node.module for node in nodes)


def label(node: Node, shared: Mapping[str, int]) -> str:
    """A node in short; `@` is followed by the module whose weights it shares with others."""
    return str(node) + (f"@{node.module}" if shared[node.module] > 1 else "")


def _segments(nodes: Sequence[Node]) -> list[Segment]:
    """Cut after every node past which nothing reads from before it."""
    last = {source: number for number, node in enumerate(nodes) for source in node.inputs}
    names = {node.name for node in nodes}
    far = max(number for source, number in last.items() if source not in names)
    found, start = list[Segment](), 0
    for number, node in enumerate(nodes):
        if far <= number:
            found.append(nodes[start : number + 1])
            start = number + 1
        far = max(far, last.get(node.name, number))
    return found


def _repetition(texts: Sequence[str]) -> tuple[int, int]:
    """Length of the part that begins here, and how often it is repeated: what spans most."""
    best = (1, 1)
    for period in range(1, len(texts) // 2 + 1):
        times = 1
        while texts[times * period : (times + 1) * period] == texts[:period]:
            times += 1
        if times > 1 and times * period > best[0] * best[1]:
            best = (period, times)
    return best


def _times(run: Run, shared: Mapping[str, int]) -> str:
    texts = [_text(segment, shared) for segment in run.part]
    text = f"[{' > '.join(texts)}]" if len(texts) > 1 and run.times > 1 else " > ".join(texts)
    return f"{run.times} x {text}" if run.times > 1 else text


def _text(segment: Segment, shared: Mapping[str, int]) -> str:
    """Its nodes, with what those read that do not simply follow the node before.

    Names lose the beginning that they have in common, so that equal segments have equal texts.
    """
    words = [node.name.split("_") for node in segment]
    common = len(list(takewhile(lambda column: len(set(column)) == 1, zip(*words, strict=False))))
    own = ["_".join(word[common:]) for word in words]
    names = {node.name: short or node.name for node, short in zip(segment, own, strict=True)}
    read = [[names.get(source, "input") for source in node.inputs] for node in segment]
    before = ["input", *names.values()]
    afar = [sources != [previous] for sources, previous in zip(read, before, strict=False)]
    told = {source for sources, far in zip(read, afar, strict=True) if far for source in sources}
    text = " > ".join(
        (f"{names[node.name]}=" if names[node.name] in told else "")
        + label(node, shared)
        + (f"({','.join(sources)})" if far else "")
        for node, sources, far in zip(segment, read, afar, strict=True)
    )
    return f"[{text}]" if len(segment) > 1 else text
