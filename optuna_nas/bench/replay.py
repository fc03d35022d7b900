"""One search replayed on a table of trained networks, and what it pays for.

A full training (200 epochs) costs 1, a short one (12 epochs) 0.06, a look at the latency of an
untrained cell 0.0005. A cell equal to one that was trained is not paid for again, and counts as
that one.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from optuna_nas.bench.tabular import FULL, LOW, Cell, Table
from optuna_nas.exceptions import DataError
from optuna_nas.pruners import FreezeThaw, report, should_prune
from optuna_nas.samplers import NSGAII, Predictor

__all__ = ["COST_ONLY", "LOOK", "METHODS", "Replay", "Run", "replay"]

COST_ONLY = "cost-only"
"""Trains the cells with most parameters in each of as many bins of latency as it can pay for, and
chooses them without any training."""
LOOK = 0.0005 * FULL
"""Epochs that a look at the latency of an untrained cell counts as."""
IDLE = 1000
"""Trials in a row that pay for nothing after which a space counts as exhausted."""
LOOKED_AT = 0.1
"""Share of its budget for which `cost-only` looks at latencies."""

Run = list[tuple[int, float]]
"""What was paid for, in order: row of the table, and epochs."""


@dataclass
class Ledger:
    """What a replay has paid for.

    Args:
        problem: The table.
    """

    problem: Table
    paid: Run = field(default_factory=list)
    epochs: float = 0.0

    def __post_init__(self) -> None:
        self._looked: set[int] = set()
        self._trained: set[tuple[int, int]] = set()
        self._first: dict[int, int] = {}

    def look(self, cell: Cell) -> float:
        """Logarithm of the latency of a cell; paid for once."""
        if cell.row not in self._looked:
            self._looked.add(cell.row)
            self._pay(cell.row, LOOK)
        return float(self.problem.cost[cell.row])

    def train(self, cell: Cell, epochs: int) -> tuple[float, float]:
        """Error and log latency of a cell, or of the first equal one; paid for once."""
        same = int(self.problem.same[cell.row])
        row = self._first.setdefault(same, cell.row)
        if (same, epochs) not in self._trained:
            self._trained.add((same, epochs))
            self._looked.add(row)
            self._pay(row, epochs)
        error = self.problem.low if epochs == LOW else self.problem.full
        return float(error[row]), float(self.problem.cost[row])

    def _pay(self, row: int, epochs: float) -> None:
        self.paid.append((row, epochs))
        self.epochs += epochs


@dataclass(frozen=True)
class Method:
    """A way to search.

    Args:
        sampler: Makes its sampler from the ledger and a seed.
        pruner: Makes its pruner.
    """

    sampler: Callable[[Ledger, int], BaseSampler]
    pruner: Callable[[], BasePruner] = NopPruner


def _paused() -> FreezeThaw:
    return FreezeThaw([LOW])


METHODS: dict[str, Method] = {
    "predictor": Method(
        lambda ledger, seed: Predictor(ledger.problem.space, {"latency": ledger.look}, seed=seed),
        _paused,
    ),
    "predictor-no-known-cost": Method(
        lambda ledger, seed: Predictor(ledger.problem.space, seed=seed), _paused
    ),
    "predictor-full-only": Method(
        lambda ledger, seed: Predictor(ledger.problem.space, {"latency": ledger.look}, seed=seed)
    ),
    "nsga2": Method(lambda _, seed: NSGAII(seed=seed)),
    "optuna-nsga2": Method(lambda _, seed: NSGAIISampler(seed=seed)),
    "optuna-nsga2-20": Method(lambda _, seed: NSGAIISampler(population_size=20, seed=seed)),
    "optuna-tpe": Method(lambda _, seed: TPESampler(seed=seed)),
    "optuna-tpe-multivariate": Method(lambda _, seed: TPESampler(multivariate=True, seed=seed)),
    "random": Method(lambda _, seed: RandomSampler(seed=seed)),
}


@dataclass(frozen=True)
class Replay:
    """One replay.

    Args:
        fractions: Of the front's hypervolume, at each budget.
        paid: What was paid for, in order.
        milliseconds: The sampler's own time for a trial, median.
    """

    fractions: list[float]
    paid: Run
    milliseconds: float


def replay(problem: Table, method: str, seed: int, budgets: Sequence[float]) -> Replay:
    """Replay one method with one seed."""
    if method == COST_ONLY:
        each = [_cost_only(problem, budget, seed) for budget in budgets]
        parts = zip(each, budgets, strict=True)
        return Replay([_fraction(problem, p, b) for p, b in parts], each[-1], math.nan)
    ledger, times = Ledger(problem), []
    sampler = METHODS[method].sampler(ledger, seed)
    pruner = METHODS[method].pruner()
    directions = [optuna.study.StudyDirection.MINIMIZE] * 2
    study = optuna.create_study(
        study_name="replay", directions=directions, sampler=sampler, pruner=pruner
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names(["error", "latency"])
    before, idle = -1.0, 0
    while ledger.epochs < budgets[-1] * FULL and idle < IDLE:
        started = time.perf_counter()
        trial = study.ask()
        cell = problem.space(trial)
        times.append(time.perf_counter() - started)
        before = ledger.epochs
        values = _train(trial, ledger, cell, isinstance(pruner, FreezeThaw))
        study.tell(trial, values, state=TrialState.COMPLETE if values else TrialState.PRUNED)
        idle = idle + 1 if ledger.epochs == before else 0
    fractions = [_fraction(problem, ledger.paid, budget) for budget in budgets]
    return Replay(fractions, ledger.paid, 1e3 * float(np.median(times)))


def _train(
    trial: optuna.Trial, ledger: Ledger, cell: Cell, pauses: bool
) -> tuple[float, float] | None:
    """Train the cell of a trial; None where it is paused."""
    for epochs in (LOW, FULL) if pauses else (FULL,):
        error, cost = ledger.train(cell, epochs)
        report(trial, epochs, {"error": error, "latency": cost})
        if epochs < FULL and should_prune(trial):
            return None
    return error, cost


def _cost_only(problem: Table, budget: float, seed: int) -> Run:
    """Look at latencies, and train the largest cell of each bin of them."""
    if problem.capacity is None:
        raise DataError("expected params_m in the table, which cost-only chooses by, got none")
    rng = np.random.default_rng(seed)
    count = min(int(LOOKED_AT * budget * FULL / LOOK), len(problem.cost))
    seen = rng.choice(len(problem.cost), count, replace=False)
    bins = max(int(budget * (1 - LOOKED_AT)), 1)
    edges = np.linspace(problem.cost[seen].min(), problem.cost[seen].max(), bins + 1)
    place = np.clip(np.searchsorted(edges, problem.cost[seen], side="right") - 1, 0, bins - 1)
    largest = [
        seen[place == k][problem.capacity[seen[place == k]].argmax()] for k in np.unique(place)
    ]
    return [*((int(row), LOOK) for row in seen), *((int(row), FULL) for row in largest)]


def _fraction(problem: Table, paid: Run, budget: float) -> float:
    """Fraction of the front's hypervolume by what was paid for within a budget."""
    spent = np.cumsum([epochs for _, epochs in paid])
    within = spent <= budget * FULL * (1 + 1e-9)
    full = [row for (row, epochs), ok in zip(paid, within, strict=True) if ok and epochs == FULL]
    return problem.fraction(full)
