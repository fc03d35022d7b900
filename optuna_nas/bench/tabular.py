"""Spaces of which every network has been trained already, so that a search can be replayed.

`bench/tables/` reads them from files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import optuna
from numpy.typing import NDArray

from optuna_nas.architecture import INPUT, Architecture, Node
from optuna_nas.bench.branches import Branch, Parameter, nearest, suggested
from optuna_nas.exceptions import DataError
from optuna_nas.pareto import hypervolume, on_front

__all__ = ["Cell", "Floats", "Table"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cell(Architecture):
    """A network of a table.

    Args:
        row: Its place in the table.
        same: First of the rows that the table says are the same network.
    """

    row: int = -1
    same: int = -1

    @cached_property
    def digest(self) -> str:
        """What tells it from other networks: the table knows, whatever the graphs say."""
        return f"row {self.same}"


@dataclass(frozen=True, eq=False)
class Table:
    """A tabular benchmark on one device: N networks, R rungs, the last of them the end.

    Args:
        parameters: What tells the rows from each other.
        steps: Steps (epochs, checkpoints) at the rungs, rising (R,).
        error: What is to be small, at each rung (N, R).
        cost: Logarithm of the cost (N,) where it is known before training; (N, R) where only
            training shows it.
        spent: Steps that a network takes to each rung (N, R).
        resumes: Whether the rungs are of one training, so that a later one costs the difference.
        same: First of the rows that are the same network (N,).
        capacity: Parameters of the network (N,), or None.
        graph: Row -> its nodes; by default one node that holds the parameters.
        cost_name: What the cost is.
    """

    parameters: Sequence[Parameter]
    steps: Sequence[int]
    error: Floats
    cost: Floats
    spent: Floats
    resumes: bool
    same: NDArray[np.int64]
    capacity: Floats | None = None
    graph: Callable[[int], Sequence[Node]] | None = None
    cost_name: str = "latency"

    def with_shuffled_rungs(self) -> Table:
        """The same where each network has the errors of another one, but for those at the end."""
        error = self.error.copy()
        error[:, :-1] = np.random.default_rng(0).permutation(error[:, :-1])
        return replace(self, error=error)

    def space(self, trial: optuna.Trial) -> Cell:
        """Draw each parameter out of what the rows have that agree with those before it."""
        return self.cell(self._tree.row(suggested(trial)))

    def nearest(self, wanted: Mapping[str, int]) -> Cell:
        """The row with these options (parameter -> its index), as far as one has them."""
        return self.cell(self._tree.row(nearest(wanted)))

    def cell(self, row: int) -> Cell:
        """The network of a row."""
        if row not in self._cells:
            nodes = self.graph(row) if self.graph else [self._node(row)]
            self._cells[row] = Cell(tuple(nodes), row=row, same=int(self.same[row]))
        return self._cells[row]

    def _node(self, row: int) -> Node:
        values = {p.name: p.options[p.codes[row]] for p in self.parameters if p.codes[row] >= 0}
        return Node("network", "network", values, (INPUT,))

    @cached_property
    def _cells(self) -> dict[int, Cell]:
        return {}

    @cached_property
    def _tree(self) -> Branch:
        return Branch(self.parameters, np.arange(len(self.error)))

    @cached_property
    def networks(self) -> int:
        """How many there are, equal rows counted once."""
        return len(np.unique(self.same))

    @property
    def known(self) -> bool:
        """Whether the cost is known before training."""
        return self.cost.ndim == 1

    @cached_property
    def costs(self) -> Floats:
        """Logarithm of the cost at each rung (N, R)."""
        return np.broadcast_to(self.cost.reshape(len(self.cost), -1), self.error.shape)

    @cached_property
    def unit(self) -> float:
        """Steps of a full training, mean over the networks."""
        return float(self.spent[:, -1].mean())

    @cached_property
    def scaled(self) -> Floats:
        """Final error and cost (N, 2), 0 to 1 over rows below the 95th percentile of the error.

        Rows above it are beyond the reference point (1, 1), and so count nothing.
        """
        ends = np.stack((self.error[:, -1], self.costs[:, -1]), axis=1)
        usual = ends[:, 0] < np.percentile(ends[:, 0], 95)
        if not usual.any() or not (np.ptp(ends[usual], axis=0) > 0).all():
            raise DataError("expected rows with different errors and costs, got all alike")
        scaled: Floats = (ends - ends[usual].min(axis=0)) / np.ptp(ends[usual], axis=0)
        scaled[~usual, 0] = 2.0
        return scaled

    @cached_property
    def front(self) -> Floats:
        """The true front, scaled (F, 2)."""
        return np.unique(self.scaled[on_front(self.scaled)], axis=0)

    def fraction(self, rows: Sequence[int]) -> float:
        """Hypervolume of rows, in that of the true front."""
        return hypervolume(self.scaled[list(rows)].reshape(-1, 2), (1.0, 1.0)) / self._whole

    @cached_property
    def _whole(self) -> float:
        return hypervolume(self.front, (1.0, 1.0))

    def distance(self, rows: Sequence[int]) -> float:
        """Mean distance of the true front to what rows dominate (IGD+); infinite without rows.

        Source: Ishibuchi et al. 2015, doi:10.1007/978-3-319-15892-1_8.
        """
        if not len(rows):
            return float("inf")
        behind = np.maximum(self.scaled[list(rows)] - self.front[:, None], 0)
        return float(np.linalg.norm(behind, axis=2).min(axis=1).mean())
