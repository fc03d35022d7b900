"""Searches replayed on a table of trained networks: how good a front for how much training.

A front is worth the hypervolume of the networks trained to their end, in that of the true front.
What a network costs is in `ledger.py`, how it is scaled in `tabular.py`.

Beside the samplers: `cost-only` trains the cells with most parameters in each of as many bins of
latency as it can pay for, and chooses them without any training; `predictor-no-known-cost` is
`predictor` that is not told what latency is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np
import optuna
from rich.console import Console
from rich.progress import Progress
from rich.table import Table as Shown

from optuna_nas.bench import quality
from optuna_nas.bench.replay import COST_ONLY, METHODS, Replay, replay
from optuna_nas.bench.tables import load
from optuna_nas.bench.tabular import Table
from optuna_nas.exceptions import DescriptionError
from optuna_nas.names import choose

__all__ = ["ALWAYS", "BUDGETS", "figure", "run", "table"]

BUDGETS = (10.0, 20.0, 50.0, 100.0)
REACHED = (0.85, 0.9, 0.945, 0.98, 0.99)
"""Fractions for which the budget needed is told."""
ALWAYS = (COST_ONLY, "predictor-no-known-cost")
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
        path: The table (see `bench/tables/`).
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
    problem = load(path, device)
    budgets, least = sorted(budgets), problem.spent[:, 0].min() / problem.unit
    if not budgets or not math.isfinite(sum(budgets)) or budgets[0] < least:
        raise DescriptionError(
            f"expected budgets of at least one short training, {least:g}, got {budgets}"
        )
    names = list(dict.fromkeys([*methods, *ALWAYS]))
    for name in names:
        choose("method", name, dict.fromkeys([*METHODS, *ALWAYS]))
    if problem.capacity is None or not problem.known:
        names.remove(COST_ONLY)
    replays = _replays(path, device, names, seeds, budgets, jobs)
    keys = ("median", "lower", "upper", "reached", "milliseconds", "runs")
    result: dict[str, Any] = {key: {} for key in keys}
    for name in names:
        for key, value in zip(keys, _summary(problem, replays[name], budgets), strict=True):
            result[key][name] = value
    about = {"table": str(path), "device": device, "seeds": seeds, "budgets": budgets}
    return about | result


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


def _summary(problem: Table, replays: Sequence[Replay], budgets: Sequence[float]) -> list[Any]:
    fractions = [quality.fractions(problem, r, budgets) for r in replays]
    lower, median, upper = np.percentile(fractions, (25, 50, 75), axis=0).tolist()
    needed = np.median([quality.needed(problem, r, REACHED) for r in replays], axis=0)
    reached = {str(share): _finite(budget) for share, budget in zip(REACHED, needed, strict=True)}
    took = _finite(float(np.median([r.milliseconds for r in replays])))
    runs = [[(p.row, p.steps) for p in r.paid[-1]] for r in replays]
    return [median, lower, upper, reached, took, runs]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
