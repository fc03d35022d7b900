"""What a replayed search has paid for.

A full training costs 1 in the mean over a table, a short one what its steps are of that, a look
at the cost of an untrained network 0.0005. Where the rungs of a table are of one training, a later
one costs the difference. A network equal to one that was trained is not paid for again, and counts
as that one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from optuna_nas.bench.tabular import Cell, Table

__all__ = ["LOOK", "Ledger", "Payment"]

LOOK = 0.0005
"""What a look at the cost of an untrained network costs, in full trainings."""


class Payment(NamedTuple):
    """Something that was paid for.

    Args:
        row: Of the table.
        steps: Paid for it (epochs, for instance).
        rung: Reached by it; -1 for a look.
    """

    row: int
    steps: float
    rung: int


class Ledger:
    """What a replay has paid for.

    Args:
        problem: The table.

    Attributes:
        paid: In order.
        spent: Steps paid in all.
    """

    def __init__(self, problem: Table) -> None:
        self.problem = problem
        self.paid: list[Payment] = []
        self.spent = 0.0
        self._looked: set[int] = set()
        self._trained: dict[int, set[int]] = {}
        self._first: dict[int, int] = {}

    @property
    def known(self) -> Mapping[str, Callable[[Cell], float]]:
        """Name of the objective known before training -> what tells it; empty without one."""
        return {self.problem.cost_name: self.look} if self.problem.known else {}

    @property
    def exhausted(self) -> bool:
        """Whether every network was trained to its end."""
        last = len(self.problem.steps) - 1
        ended = sum(last in rungs for rungs in self._trained.values())
        return ended == self.problem.networks

    def look(self, cell: Cell) -> float:
        """Logarithm of the cost of a network; paid for once."""
        if cell.row not in self._looked:
            self._looked.add(cell.row)
            self._pay(Payment(cell.row, LOOK * self.problem.unit, -1))
        return float(self.problem.costs[cell.row, -1])

    def train(self, cell: Cell, rung: int) -> tuple[float, float]:
        """Error and log cost of a network, or of the first equal one; paid for once."""
        same = int(self.problem.same[cell.row])
        row = self._first.setdefault(same, cell.row)
        trained = self._trained.setdefault(same, set())
        if rung not in trained:
            steps = self._price(row, rung, trained)
            trained.update(range(rung + 1) if self.problem.resumes else (rung,))
            self._looked.add(row)
            self._pay(Payment(row, steps, rung))
        return float(self.problem.error[row, rung]), float(self.problem.costs[row, rung])

    def _price(self, row: int, rung: int, trained: set[int]) -> float:
        spent = self.problem.spent[row]
        before = spent[max(trained)] if self.problem.resumes and trained else 0.0
        return float(spent[rung] - before)

    def _pay(self, payment: Payment) -> None:
        self.paid.append(payment)
        self.spent += payment.steps
