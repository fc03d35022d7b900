"""Cells of NAS-Bench-101 in their published form, a matrix and a list of operators."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces.canonical import canonical

__all__ = ["OPERATORS", "MatrixCell"]

OPERATORS = ("conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3")
ENDS = ("input", "output")


@dataclass(frozen=True)
class MatrixCell:
    """A directed acyclic graph whose vertices are operators.

    Args:
        matrix: Upper triangular; matrix[a][b] is 1 where vertex b reads from vertex a.
        ops: Operator of each vertex; "input" of the first and "output" of the last.

    Raises:
        SpaceError: No such matrix, an unknown operator, or no path from input to output.

    Source: NAS-Bench-101, Ying et al. 2019, arXiv:1902.09635.
    """

    matrix: tuple[tuple[int, ...], ...]
    ops: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", _matrix(self.matrix))
        object.__setattr__(self, "ops", tuple(self.ops))
        if len(self.ops) != len(self.matrix):
            raise SpaceError(
                f"expected an operator for each of {len(self.matrix)} vertices, got {self.ops}"
            )
        if (self.ops[0], self.ops[-1]) != ENDS or not set(self.ops[1:-1]) <= set(OPERATORS):
            raise SpaceError(
                f"expected ops ('input', ..., 'output') with {OPERATORS} between, got {self.ops}"
            )
        if 0 not in self._alive():
            raise SpaceError(f"expected a path from input to output, got matrix={self.matrix}")

    @classmethod
    def of(cls, edges: Iterable[tuple[int, int]], ops: Sequence[str]) -> MatrixCell:
        """Return the cell with these edges (from, to)."""
        ones, vertices = set(edges), range(len(ops))
        matrix = tuple(tuple(int((a, b) in ones) for b in vertices) for a in vertices)
        return cls(matrix, tuple(ops))

    @property
    def edges(self) -> list[tuple[int, int]]:
        """Edges (from, to), in order."""
        return [(a, b) for a, row in enumerate(self.matrix) for b, one in enumerate(row) if one]

    def sources(self, vertex: int) -> list[int]:
        """Vertices that a vertex reads from, in ascending order."""
        return [a for a, b in self.edges if b == vertex]

    def pruned(self) -> MatrixCell:
        """The cell without vertices that are on no path from input to output."""
        alive = sorted(self._alive())
        place = {old: new for new, old in enumerate(alive)}
        edges = [(place[a], place[b]) for a, b in self.edges if a in place and b in place]
        return MatrixCell.of(edges, [self.ops[v] for v in alive])

    def canonical(self) -> MatrixCell:
        """The pruned cell, with its vertices so numbered that isomorphic cells are equal."""
        cell = self.pruned()
        vertices = [
            (cell.ops[v], tuple(("", a) for a in cell.sources(v))) for v in range(1, len(cell.ops))
        ]
        ordered = canonical(vertices)
        edges = [(a, b) for b, (_, read) in enumerate(ordered, start=1) for _, a in read]
        return MatrixCell.of(edges, ["input", *(operator for operator, _ in ordered)])

    def _alive(self) -> set[int]:
        """Vertices on a path from input to output; none where there is no path."""
        reached, needed = {0}, {len(self.ops) - 1}
        for a, b in self.edges:
            reached |= {b} if a in reached else set()
        for a, b in reversed(self.edges):
            needed |= {a} if b in needed else set()
        return reached & needed


def _matrix(rows: Iterable[Iterable[int]]) -> tuple[tuple[int, ...], ...]:
    try:
        matrix = tuple(tuple(int(one) for one in row) for row in rows)
    except (TypeError, ValueError) as error:
        raise SpaceError(f"expected a matrix of 0 and 1, got {rows!r}") from error
    size = len(matrix)
    legal = all(
        len(row) == size and not any(row[: a + 1]) and set(row) <= {0, 1}
        for a, row in enumerate(matrix)
    )
    if size < 2 or not legal:
        raise SpaceError(
            f"expected an upper triangular matrix of 0 and 1, at least 2 x 2, got {matrix}"
        )
    return matrix
