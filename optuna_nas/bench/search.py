"""Searches replayed on a table of trained networks: how good a front for how much training.

A full training (200 epochs) costs 1, a short one (12 epochs) 0.06, a look at the latency of an
untrained cell 0.0005. A front is worth the hypervolume of the cells trained fully, in that of the
true front; error and log latency are scaled over the cells whose error is below the 95th
percentile, and the reference is (1, 1). A cell equal to one that was trained is not paid for
again, and counts as that one.

Beside the samplers: `cost-only` trains the cells with most parameters in each of as many bins of
latency as it can pay for, and chooses them without any training; `predictor-no-known-cost` is
`predictor` that is not told what latency is.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import TrialState
from rich.console import Console
from rich.progress import Progress
from rich.table import Table as Shown

from optuna_nas.bench.tabular import FULL, LOW, Cell, Table, load
from optuna_nas.exceptions import DataError, DescriptionError
from optuna_nas.names import choose
from optuna_nas.pruners import FreezeThaw, report, should_prune
from optuna_nas.samplers import NSGAII, Predictor

__all__ = ["ALWAYS", "BUDGETS", "METHODS", "figure", "replay", "run", "table"]

BUDGETS = (10.0, 20.0, 50.0, 100.0)
LOOK = 0.0005 * FULL
"""Epochs that a look at the latency of an untrained cell counts as."""
REACHED = (0.85, 0.9, 0.945, 0.98, 0.99)
"""Fractions for which the budget needed is told."""
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
        self._trained: dict[int, dict[int, int]] = {LOW: {}, FULL: {}}
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
        if same not in self._trained[epochs]:
            self._trained[epochs][same] = row
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
ALWAYS = ("cost-only", "predictor-no-known-cost")
"""Always beside the rest."""


def run(
    path: str,
    device: str,
    seeds: int = 5,
    budgets: Sequence[float] = BUDGETS,
    methods: Sequence[str] = tuple(METHODS),
    jobs: int = 2,
) -> dict[str, Any]:
    """Replay methods on a table.

    Args:
        path: The table (see `bench/tabular.py`).
        device: Whose latency.
        seeds: Repeats of each method.
        budgets: Budgets in full trainings, rising.
        methods: Names out of `METHODS`; those of `ALWAYS` are added.
        jobs: Processes.

    Returns:
        `table`, `device`, `seeds`, `budgets`, and by method: `median`, `lower` and `upper`
        quartile of the fraction reached at each budget, `reached` (fraction -> median budget
        needed, None where half of the seeds did not get there), `milliseconds` of the sampler for
        each trial (median), and `runs`.

    Raises:
        DataError: The file is no table, or has no such device.
        DescriptionError: There is no method of that name, or a budget below a short training.
    """
    budgets = sorted(budgets)
    if not budgets or budgets[0] < LOW / FULL:
        raise DescriptionError(
            f"expected budgets of at least one short training, {LOW / FULL}, got {budgets}"
        )
    problem = load(path, device)
    names = list(dict.fromkeys([*methods, *ALWAYS]))
    for name in names:
        choose("method", name, dict.fromkeys([*METHODS, *ALWAYS]))
    if problem.capacity is None:
        names.remove("cost-only")
    replays = _replays(path, device, names, seeds, budgets, jobs)
    keys = ("median", "lower", "upper", "reached", "milliseconds", "runs")
    result: dict[str, Any] = {key: {} for key in keys}
    for name in names:
        for key, value in zip(keys, _summary(problem, replays[name]), strict=True):
            result[key][name] = value
    about = {"table": str(path), "device": device, "seeds": seeds, "budgets": budgets}
    return about | result


def replay(problem: Table, method: str, seed: int, budgets: Sequence[float]) -> Replay:
    """Replay one method with one seed."""
    if method == "cost-only":
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


def table(result: dict[str, Any]) -> Shown:
    """Show the result of `run`."""
    shown = Shown(
        title=f"Fraction of the front's hypervolume, median of {result['seeds']} seeds "
        f"(quartiles): {result['device']}"
    )
    shown.add_column("full trainings", no_wrap=True)
    for budget in result["budgets"]:
        shown.add_column(f"{budget:g}", justify="right")
    for share in REACHED[2:]:
        shown.add_column(f"to {share}", justify="right")
    shown.add_column("ms a trial", justify="right")
    for name, medians in result["median"].items():
        quartiles = zip(medians, result["lower"][name], result["upper"][name], strict=True)
        cells = [f"{m:.3f} ({low:.3f}-{high:.3f})" for m, low, high in quartiles]
        needed = [result["reached"][name][str(share)] for share in REACHED[2:]]
        spent = ["-" if budget is None else f"{budget:.1f}" for budget in needed]
        took = result["milliseconds"][name]
        shown.add_row(name, *cells, *spent, "-" if took is None else f"{took:.0f}")
    return shown


def figure(result: dict[str, Any]) -> Any:
    """The result as a plotly figure: -log10(1 - fraction) against the budget."""
    import plotly.graph_objects as go

    drawn = go.Figure()
    for name, medians in result["median"].items():
        gaps = [-math.log10(max(1 - median, 1e-6)) for median in medians]
        drawn.add_scatter(x=result["budgets"], y=gaps, name=name, mode="lines+markers")
    drawn.update_xaxes(title="full trainings", type="log")
    drawn.update_yaxes(title="-log10(1 - fraction of the front's hypervolume)")
    return drawn


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


def _replays(
    path: str, device: str, names: Sequence[str], seeds: int, budgets: Sequence[float], jobs: int
) -> dict[str, list[Replay]]:
    found: dict[str, list[Replay]] = {name: [] for name in names}
    context = get_context("spawn")
    with (
        Progress(console=Console(stderr=True)) as progress,
        ProcessPoolExecutor(jobs, mp_context=context, initializer=_calm) as pool,
    ):
        task = progress.add_task("replays", total=seeds * len(names))
        futures = [
            (name, pool.submit(_replay, path, device, name, seed, budgets))
            for seed in range(seeds)
            for name in names
        ]
        for name, future in futures:
            found[name].append(future.result())
            progress.advance(task)
    return found


def _replay(path: str, device: str, method: str, seed: int, budgets: Sequence[float]) -> Replay:
    return replay(_loaded(path, device), method, seed, budgets)


_loaded = cache(load)


def _calm() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _summary(problem: Table, replays: Sequence[Replay]) -> list[Any]:
    fractions = np.array([r.fractions for r in replays])
    lower, median, upper = np.percentile(fractions, (25, 50, 75), axis=0).tolist()
    needed = np.median([_needed(problem, r.paid) for r in replays], axis=0)
    reached = {str(share): _finite(budget) for share, budget in zip(REACHED, needed, strict=True)}
    took = _finite(float(np.median([r.milliseconds for r in replays])))
    return [median, lower, upper, reached, took, [r.paid for r in replays]]


def _fraction(problem: Table, paid: Run, budget: float) -> float:
    """Fraction of the front's hypervolume by what was paid for within a budget."""
    spent = np.cumsum([epochs for _, epochs in paid])
    within = spent <= budget * FULL * (1 + 1e-9)
    full = [row for (row, epochs), ok in zip(paid, within, strict=True) if ok and epochs == FULL]
    return problem.fraction(full)


def _needed(problem: Table, paid: Run) -> list[float]:
    """Budget at which each fraction of `REACHED` was first reached; infinite where it was not."""
    spent = np.cumsum([epochs for _, epochs in paid]) / FULL
    ends = [i for i, (_, epochs) in enumerate(paid) if epochs == FULL]
    rows = [paid[i][0] for i in ends]
    fractions = [problem.fraction(rows[: k + 1]) for k in range(len(rows))]
    budgets = [float(spent[i]) for i in ends]
    reached = zip(fractions, budgets, strict=True)
    pairs = list(reached)
    return [min((b for f, b in pairs if f >= share), default=math.inf) for share in REACHED]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
