"""DARTS cells as choices: an operator on every edge, and the two strongest edges of each node.

Source: Liu et al. 2019, arXiv:1806.09055, section 2.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces import DARTS
from optuna_nas.spaces.genotype import Edge, Genotype
from optuna_nas.supernet.differentiable.graph import NONE, SKIP, Operator
from optuna_nas.supernet.differentiable.relax import relax
from optuna_nas.supernet.differentiable.relaxation import Choice, Kept, Relaxation

__all__ = ["CellRelaxation"]

EDGES = 2
"""Edges that a node keeps."""

Operators = Mapping[str, Mapping[str, Operator]]
"""Operator of the space -> name of a node -> what that is there."""


@dataclass(frozen=True)
class CellRelaxation(Relaxation):
    """DARTS cells with all edges; `joins` are the edges that lead to one node.

    Args:
        edges: Cell, number of the node and of its input, of each choice.
    """

    edges: tuple[tuple[str, int, int], ...] = ()

    def kept(self, strengths: Sequence[Tensor]) -> Kept:
        """The operators of the two strongest edges of each node; "none" competes for neither."""
        found: dict[int, int] = {}
        for join in self.joins:
            best = {number: self._best(number, strengths[number]) for number in join}
            strongest = sorted(join, key=lambda number: -best[number][0])[:EDGES]
            found |= {number: best[number][1] for number in sorted(strongest)}
        return found

    def params(self, kept: Kept) -> dict[str, Any]:
        """Parameters for which the space draws the network."""
        cells: dict[str, list[Edge]] = {"normal": [], "reduce": []}
        for number, option in sorted(kept.items()):
            cell, _, source = self.edges[number]
            cells[cell].append((self.choices[number].labels[option], source))
        space: Any = self.space
        return dict(space.parameters(Genotype.of(**cells)))

    def _best(self, number: int, strengths: Tensor) -> tuple[float, int]:
        labels = self.choices[number].labels
        return max(
            (strength, option)
            for option, strength in enumerate(strengths.tolist())
            if labels[option] != "none"
        )


@relax.register(DARTS)
def _(space: DARTS, input_shape: tuple[int, ...], outputs: int, seed: int = 0) -> CellRelaxation:
    named = [operator for operator in space.operators if operator != "none"]
    graphs = {operator: space.dense(operator) for operator in named}
    base = max(graphs.values(), key=lambda graph: len(graph.alive))
    names = [node.name for node in base.alive if "_from" in node.name]
    operators: dict[str, dict[str, Operator]] = {"none": dict.fromkeys(names, NONE)}
    for operator, graph in graphs.items():
        there = {node.name: Operator.of(node) for node in graph.alive}
        operators[operator] = {name: there.get(name, SKIP) for name in names}
    edges = tuple(_edges(space))
    choices = tuple(_choice(space, operators, *edge) for edge in edges)
    if not all(choice.operators for choice in choices):
        raise SpaceError(
            "expected an operator beside 'none' and 'skip_connect', to be searched by gradients, "
            f"got operators={space.operators}"
        )
    joins: dict[tuple[str, int], list[int]] = {}
    for number, (cell, node, _) in enumerate(edges):
        joins.setdefault((cell, node), []).append(number)
    return CellRelaxation(
        space=space,
        architecture=base,
        choices=choices,
        input_shape=tuple(input_shape),
        outputs=outputs,
        joins=tuple(map(tuple, joins.values())),
        edges=edges,
    )


def _edges(space: DARTS) -> Iterator[tuple[str, int, int]]:
    for cell in ("normal", "reduce"):
        for node in range(2, space.nodes + 2):
            yield from ((cell, node, source) for source in range(node))


def _choice(space: DARTS, operators: Operators, cell: str, node: int, source: int) -> Choice:
    """The choice of one edge, the same in all cells of its kind."""
    reductions = space.reductions
    layers = reductions if cell == "reduce" else {*range(1, space.layers + 1)} - reductions
    names = [f"cell{layer}_node{node}_from{source}" for layer in sorted(layers)]
    parameter = f"{cell}.node{node}.from{source}"
    return Choice(
        parameter,
        tuple({parameter: operator} for operator in space.operators),
        {
            name: tuple(operators[operator][name] for operator in space.operators)
            for name in names
            if name in operators["none"]
        },
    )
