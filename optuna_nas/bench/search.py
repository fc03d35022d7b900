"""Searches replayed on a table of trained networks: how good a front for how much training.

A front is worth the hypervolume of the networks trained to their end, in that of the true front.
What a network costs is in `ledger.py`, how it is scaled in `tabular.py`.

Beside the samplers: `cost-only` trains the cells with most parameters in each of as many bins of
cost as it can pay for, and chooses them without any training; `predictor-no-known-cost` is
`predictor` that is not told what the cost is. `view-tpe` and `view-nsga2` are what a Search does
with Optuna's samplers: `MultiFidelity` and `ParetoHyperband`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import as_completed
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import Progress

from optuna_nas.bench.comparison import compare
from optuna_nas.bench.kept import Kept, digest
from optuna_nas.bench.peer import PEERS, find
from optuna_nas.bench.processes import processes
from optuna_nas.bench.replay import COST_ONLY, METHODS, Replay, replay
from optuna_nas.bench.shown import figure, table
from optuna_nas.bench.tables import load
from optuna_nas.bench.tabular import Table
from optuna_nas.exceptions import DescriptionError
from optuna_nas.measuring.device import fingerprint, versions
from optuna_nas.names import choose

__all__ = ["ALWAYS", "BUDGETS", "LOW_RUNGS", "figure", "run", "table"]

BUDGETS = (10.0, 20.0, 50.0, 100.0)
ALWAYS = (COST_ONLY, "predictor-no-known-cost")
"""Always beside the rest, where the cost is known before training."""


LOW_RUNGS = ("real", "shuffled")
"""What networks are worth before the end: as in the table, or that of others."""


class Task(NamedTuple):
    """A replay that is to be done."""

    path: str
    device: str
    low_rung: str
    method: str
    seed: int
    budgets: Sequence[float]
    python: str


def run(
    path: str | Path,
    device: str,
    seeds: int = 5,
    budgets: Sequence[float] = BUDGETS,
    methods: Sequence[str] = tuple(METHODS),
    jobs: int = 2,
    output: Path | None = None,
    pythons: Sequence[str] = (),
    low_rung: str = "real",
) -> dict[str, Any]:
    """Replay methods on a table.

    Args:
        path: The table (see `bench/tables/`).
        device: What the cost was measured on.
        seeds: Repeats of each method.
        budgets: Budgets in full trainings, rising.
        methods: Names out of `METHODS` and `PEERS`, first the one that the others are compared
            with; those of `ALWAYS` are added.
        jobs: Processes.
        pythons: Interpreters of the environments of peers; the first in which a peer starts is
            taken for it.
        low_rung: Out of `LOW_RUNGS`. With "shuffled", each network has before its end the errors
            of another one, so that they tell nothing.
        output: File for the result as JSON. Until it is written, what is finished is kept beside
            it, and taken over when the same comparison is run again.

    Returns:
        What `comparison.compare` returns, and `table`, `device`, `low_rung`, `seeds`, `runs`
        (method -> for each seed [row, steps] in the order they were paid for), `date`, `machine`,
        `versions`, `peers` (method -> version) and `seconds`.

    Raises:
        DataError: The file is no table, or has no such device.
        DescriptionError: There is no method or low rung of that name, a peer is not installed, a
            budget is below a short training, or the output is there already or of another
            comparison.
        TrainingError: A peer ended with an error.
    """
    started, problem = time.perf_counter(), _load(path, device, low_rung)
    budgets = _checked(problem, budgets)
    names = _names(problem, methods)
    found = {name: find(name, pythons) for name in names if name in PEERS}
    about = {
        "table": Path(path).name,
        "digest": digest(Path(path)),
        "device": device,
        "low_rung": low_rung,
    }
    kept = Kept(output, about | {"budgets": budgets})
    of_peers = {name: python for name, (python, _) in found.items()}
    left = [
        Task(str(path), device, low_rung, name, seed, budgets, of_peers.get(name, ""))
        for seed in range(seeds)
        for name in names
        if (name, seed) not in kept.found
    ]
    _replay_all(left, jobs, kept)
    replays = {name: [kept.found[name, seed] for seed in range(seeds)] for name in names}
    result = about | {
        "seeds": seeds,
        **compare(problem, replays, budgets),
        "runs": {
            name: [[[p.row, p.steps] for p in one.paid[-1]] for one in some]
            for name, some in replays.items()
        },
        "date": datetime.now(UTC).date().isoformat(),
        "machine": fingerprint(),
        "versions": versions(),
        "peers": {name: version for name, (_, version) in found.items()},
        "seconds": round(time.perf_counter() - started, 1),
    }
    kept.finish(result)
    return result


def _checked(problem: Table, budgets: Sequence[float]) -> list[float]:
    least = float(problem.spent[:, 0].min() / problem.unit)
    if not budgets or not math.isfinite(sum(budgets)) or min(budgets) < least:
        raise DescriptionError(
            f"expected budgets of at least one short training, {least:g}, got {list(budgets)}"
        )
    return sorted(budgets)


def _names(problem: Table, methods: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys([*methods, *(ALWAYS if problem.known else ())]))
    for name in names:
        choose("method", name, dict.fromkeys([*METHODS, *ALWAYS, *PEERS]))
    if problem.capacity is None or not problem.known:
        names = [name for name in names if name != COST_ONLY]
    return names


def _replay_all(tasks: Sequence[Task], jobs: int, kept: Kept) -> None:
    with Progress(console=Console(stderr=True)) as progress, processes(jobs) as pool:
        shown = progress.add_task("replays", total=len(tasks))
        futures = {pool.submit(_replay, task): task for task in tasks}
        for future in as_completed(futures):
            task = futures[future]
            kept.add(task.method, task.seed, future.result())
            progress.advance(shown)


def _replay(task: Task) -> Replay:
    problem = _loaded(task.path, task.device, task.low_rung)
    return replay(problem, task.method, task.seed, task.budgets, task.python)


def _load(path: str | Path, device: str, low_rung: str) -> Table:
    choose("low rung", low_rung, dict.fromkeys(LOW_RUNGS))
    problem = load(path, device)
    return problem.with_shuffled_rungs() if low_rung == "shuffled" else problem


_loaded = cache(_load)
