"""Cells of DARTS in their published form."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from optuna_nas.exceptions import SpaceError

__all__ = ["OPERATORS", "Edge", "Genotype"]

OPERATORS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)

Edge = tuple[str, int]
"""Operator, and the node that it reads from."""


@dataclass(frozen=True)
class Genotype:
    """A normal and a reduction cell.

    Nodes 0 and 1 are the outputs of the cell before the last and of the last. Each node from 2 on
    is the sum of two edges, which are listed one node after the other. The order of these two
    means nothing; they are kept by ascending input.

    Args:
        normal: Edges (operator, input) of the normal cell, two for each node.
        normal_concat: Nodes whose channels the cell returns; here always all from 2 on.
        reduce: Edges of the reduction cell.
        reduce_concat: As `normal_concat`.

    Raises:
        SpaceError: An operator or an input that there is not, one input twice, or a node without
            an operator beside "none".

    Source: DARTS, Liu et al. 2018, arXiv:1806.09055.
    """

    normal: tuple[Edge, ...]
    normal_concat: tuple[int, ...]
    reduce: tuple[Edge, ...]
    reduce_concat: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("normal", "reduce"):
            cell, concat = getattr(self, name), getattr(self, f"{name}_concat")
            object.__setattr__(self, name, _cell(name, cell))
            object.__setattr__(self, f"{name}_concat", _concat(name, concat, len(cell) // 2))

    @classmethod
    def of(cls, normal: Iterable[Edge], reduce: Iterable[Edge]) -> Genotype:
        """Return the genotype of two cells that each return all their nodes."""
        cells = tuple(normal), tuple(reduce)
        whole = [tuple(range(2, 2 + len(cell) // 2)) for cell in cells]
        return cls(cells[0], whole[0], cells[1], whole[1])

    @classmethod
    def parse(cls, text: str) -> Genotype:
        """Read the published text, `Genotype(normal=[('sep_conv_3x3', 0), ...], ...)`.

        Raises:
            SpaceError: Text of another form, or that describes no genotype.
        """
        names = [field.name for field in fields(cls)]
        try:
            call = ast.parse(text.strip(), mode="eval").body
            if not isinstance(call, ast.Call) or call.args:
                raise ValueError("expected keyword arguments alone")
            given = {str(keyword.arg): _value(keyword.value) for keyword in call.keywords}
            if sorted(given) != sorted(names):
                raise ValueError(f"expected {names}, got {list(given)}")
        except (SyntaxError, TypeError, ValueError) as error:
            raise SpaceError(
                "expected a genotype such as Genotype(normal=[('sep_conv_3x3', 0), ...], "
                f"normal_concat=range(2, 6), reduce=..., reduce_concat=...), got {text!r}: {error}"
            ) from error
        return cls(**given)

    def __str__(self) -> str:
        """The published text, which `parse` reads."""
        values = (f"{field.name}={list(getattr(self, field.name))}" for field in fields(self))
        return f"Genotype({', '.join(values)})"


def _value(node: ast.expr) -> Any:
    """A literal, or a range."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        return tuple(range(*(ast.literal_eval(argument) for argument in node.args)))
    return ast.literal_eval(node)


def _cell(name: str, edges: Iterable[Edge]) -> tuple[Edge, ...]:
    try:
        given = [(str(operator), int(source)) for operator, source in edges]
    except (TypeError, ValueError) as error:
        raise SpaceError(
            f"expected {name} to hold edges (operator, input), got {edges!r}"
        ) from error
    if not given or len(given) % 2:
        raise SpaceError(f"expected {name} to hold two edges for each node, got {given}")
    nodes = (_node(name, 2 + k // 2, given[k : k + 2]) for k in range(0, len(given), 2))
    return tuple(edge for node in nodes for edge in node)


def _node(name: str, number: int, edges: list[Edge]) -> list[Edge]:
    where = f"node {number} of {name}"
    for operator, source in edges:
        if operator not in OPERATORS:
            raise SpaceError(f"expected operators of {where} among {OPERATORS}, got {operator!r}")
        if not 0 <= source < number:
            raise SpaceError(f"expected inputs of {where} from 0 to {number - 1}, got {source}")
    if edges[0][1] == edges[1][1]:
        raise SpaceError(f"expected two different inputs of {where}, got {edges[0][1]} twice")
    if all(operator == "none" for operator, _ in edges):
        raise SpaceError(f"expected an operator beside 'none' at {where}, got {edges}")
    return sorted(edges, key=lambda edge: edge[1])


def _concat(name: str, concat: Iterable[int], nodes: int) -> tuple[int, ...]:
    given = tuple(concat)
    if sorted(given) != list(range(2, nodes + 2)):
        raise SpaceError(
            f"expected {name}_concat of all nodes from 2 to {nodes + 1}, got {given}; "
            "cells that return fewer are not of this space"
        )
    return tuple(sorted(given))
