"""Operators of nodes, and architectures whose nodes are given others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from optuna_nas.architecture import INPUT, Architecture, Node
from optuna_nas.blocks import Head, find
from optuna_nas.exceptions import SpaceError

__all__ = ["NONE", "SKIP", "Operator", "explain", "substitute"]

CONSTANT, SUM = "constant", "add"


@dataclass(frozen=True)
class Operator:
    """What a node does.

    Args:
        kind: Kind of its block, or that of `SKIP` or `NONE`.
        args: Arguments of the block, as JSON with sorted keys.
    """

    kind: str
    args: str = "{}"

    @classmethod
    def of(cls, node: Node) -> Operator:
        """The operator of a node."""
        return cls(node.kind, json.dumps(dict(node.args), sort_keys=True))

    def at(self, node: Node) -> Node:
        """A node with this operator, which must be a block."""
        return replace(node, kind=self.kind, args=json.loads(self.args))


SKIP = Operator("skip")
"""The node is a wire: what reads it reads its input."""

NONE = Operator("none")
"""Nothing comes from the node: what sums it leaves it out."""

Summands = tuple[str, ...]


def substitute(architecture: Architecture, chosen: Mapping[str, Operator]) -> Architecture:
    """The architecture in which some nodes have other operators.

    Wires vanish, sums of sums become one sum, and what nothing arrives at is left out; where that
    is the network's end, one learned answer remains.

    Args:
        architecture: The graph.
        chosen: Name of a node -> its operator; the others keep theirs.

    Raises:
        SpaceError: Nothing arrives at an input of a node that needs it.
    """
    graph = _Graph()
    for node in architecture.alive:
        if node.name in chosen and chosen[node.name] not in (SKIP, NONE):
            node = chosen[node.name].at(node)
        sources = [graph.values[source] for source in node.inputs]
        operator = chosen.get(node.name)
        if operator == NONE:
            graph.values[node.name] = ()
        elif operator == SKIP:
            graph.values[node.name] = sources[0]
        elif node.kind == SUM:
            graph.values[node.name] = tuple(name for source in sources for name in source)
        elif any(sources):
            graph.add(node, sources)
        elif issubclass(find(node.kind), Head):
            return Architecture.chain([(node.name, CONSTANT, {})])
        else:
            graph.values[node.name] = ()
    end = graph.joined(graph.values[architecture.output])
    return Architecture(Architecture(tuple(graph.nodes), end).alive)


def explain(base: Architecture, drawn: Architecture) -> dict[str, Operator] | None:
    """Operators of nodes of one architecture that make it another; None where none do.

    Args:
        base: Has all nodes.
        drawn: Where nodes of `base` are missing, they are all wires, or nothing comes from them;
            of several ways to say so the one with the fewest nodes counts.
    """
    wanted = substitute(drawn, {}).digest
    orders = base.alive, base.alive[::-1]
    found = [_filled(base, order, drawn, gap) for gap in (SKIP, NONE) for order in orders]
    right = [chosen for chosen in found if _digest(base, chosen) == wanted]
    return min(right, key=len, default=None)


def _filled(
    base: Architecture, order: Sequence[Node], drawn: Architecture, gap: Operator
) -> dict[str, Operator]:
    """Operators as drawn, and a gap at nodes that are missing and would still be there."""
    there = {node.name: node for node in drawn.alive}
    chosen = {
        node.name: Operator.of(there[node.name])
        for node in order
        if node.name in there and _differ(node, there[node.name])
    }
    for node in order:
        if node.kind != SUM and node.name not in there and node.name in _left(base, chosen):
            chosen[node.name] = gap
    return chosen


class _Graph:
    """Nodes as they are added, and the names whose sum each value is."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.values: dict[str, Summands] = {INPUT: (INPUT,)}
        self._sums: dict[Summands, str] = {}

    def add(self, node: Node, sources: Sequence[Summands]) -> None:
        """Add a node that reads sums."""
        inputs = tuple(map(self.joined, sources))
        self.nodes.append(replace(node, inputs=inputs))
        self.values[node.name] = (node.name,)

    def joined(self, summands: Summands) -> str:
        """Name of a sum, whose node is added where it needs one."""
        if not summands:
            raise SpaceError("expected something to arrive at every input of a node, got nothing")
        if len(summands) == 1:
            return summands[0]
        key = tuple(sorted(summands))
        if key not in self._sums:
            self._sums[key] = f"sum{len(self._sums) + 1}"
            self.nodes.append(Node(self._sums[key], SUM, {}, key))
        return self._sums[key]


def _differ(node: Node, other: Node) -> bool:
    return (node.kind, node.args) != (other.kind, other.args)


def _left(base: Architecture, chosen: Mapping[str, Operator]) -> set[str]:
    """Names of the nodes at which something arrives, and whose output is used."""
    reached, used = {INPUT}, {base.output}
    for node in base.alive:
        if chosen.get(node.name) != NONE and reached.intersection(node.inputs):
            reached.add(node.name)
    for node in reversed(base.alive):
        if node.name in used & reached:
            used.update(node.inputs)
    return reached & used


def _digest(base: Architecture, chosen: Mapping[str, Operator]) -> str:
    """Digest of the network; empty where there is none."""
    try:
        return substitute(base, chosen).digest
    except SpaceError:
        return ""
