"""How good the front is that was paid for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from optuna_nas.bench.ledger import Payment
from optuna_nas.bench.replay import Replay
from optuna_nas.bench.tabular import Floats, Table

__all__ = ["distances", "fractions", "needed"]


def fractions(problem: Table, replay: Replay, budgets: Sequence[float]) -> list[float]:
    """Fraction of the true front's hypervolume at each budget."""
    return [problem.fraction(rows) for rows in _ended(problem, replay, budgets)]


def distances(problem: Table, replay: Replay, budgets: Sequence[float]) -> list[float]:
    """Distance from the true front (IGD+) at each budget."""
    return [problem.distance(rows) for rows in _ended(problem, replay, budgets)]


def needed(problem: Table, replay: Replay, shares: Sequence[float]) -> list[float]:
    """Budget at which each fraction was first reached; infinite where it was not."""
    last = len(problem.steps) - 1
    reached = np.full(len(shares), math.inf)
    for paid in replay.paid:
        ends = [i for i, payment in enumerate(paid) if payment.rung == last]
        rows = [paid[i].row for i in ends]
        found = [problem.fraction(rows[: k + 1]) for k in range(len(rows))]
        budgets = _spent(problem, paid)[ends]
        first = np.searchsorted(found, shares)
        reached = np.minimum(reached, np.append(budgets, math.inf)[first])
    return [float(budget) for budget in reached]


def _ended(problem: Table, replay: Replay, budgets: Sequence[float]) -> list[list[int]]:
    """Rows that were trained to their end within each budget."""
    searches = replay.paid * (len(budgets) if len(replay.paid) == 1 else 1)
    return [_within(problem, paid, b) for paid, b in zip(searches, budgets, strict=True)]


def _within(problem: Table, paid: Sequence[Payment], budget: float) -> list[int]:
    last = len(problem.steps) - 1
    enough = _spent(problem, paid) <= budget * (1 + 1e-9)
    return [p.row for p, ok in zip(paid, enough, strict=True) if ok and p.rung == last]


def _spent(problem: Table, paid: Sequence[Payment]) -> Floats:
    return np.cumsum([payment.steps for payment in paid]) / problem.unit
