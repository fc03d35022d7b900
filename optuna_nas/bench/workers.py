"""Trials in an hour of two workers, against one with the same threads, on the digits.

Measurements on a host take turns, and trainings pause meanwhile: of a search that measures, that
share of the time is serial, and is printed beside what the second worker brings. The bound is that
of Amdahl 1967 (doi:10.1145/1465482.1465560).
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from rich.table import Table

from optuna_nas.datasets import Digits
from optuna_nas.model import Classifier
from optuna_nas.objectives import Latency
from optuna_nas.spaces import CNN
from optuna_nas.study import Budget, Search

__all__ = ["run", "table"]

OBJECTIVES: dict[str, list[Any]] = {
    "nothing measured": ["accuracy", "flops"],
    "latency measured": ["accuracy", Latency(limit=0.4)],
}


def run(trials: int = 40, epochs: int = 18, workers: int = 2, seed: int = 0) -> dict[str, Any]:
    """Run the same trials by one worker and by several, each a process with one thread.

    Args:
        trials: Of each run.
        epochs: Of each training.
        workers: How many, against one.
        seed: Of the networks, which are the same in all runs.

    Returns:
        For each search the trials in an hour of one and of all workers (starting them aside),
        their ratio, the share of a trial of one worker that is measuring, and the ratio which
        that allows.
    """
    found: dict[str, Any] = {"trials": trials, "workers": workers, "searches": {}}
    for name, objectives in OBJECTIVES.items():
        search = Search(
            name="workers",
            space=CNN(input_shape=(1, 8, 8), blocks=(2, 5), channels=(16, 32, 64), kernels=(3, 5)),
            data=Digits(validation=0.25, batch_size=64),
            module=partial(Classifier, learning_rate=1e-2, warmup_steps=100),
            objectives=objectives,
            fidelity=Budget(epochs=(epochs, epochs)),
            sampler="random",
            pruner="none",
            threads=1,
            seed=seed,
        )
        one, many = (_study(search, trials, count) for count in (1, workers))
        serial = _share_of_measuring(one)
        found["searches"][name] = {
            "trials_per_hour_1": _per_hour(one),
            f"trials_per_hour_{workers}": _per_hour(many),
            "ratio": _per_hour(many) / _per_hour(one),
            "serial_share": serial,
            "ratio_possible": 1 / (serial + (1 - serial) / workers),
        }
    return found


def table(result: dict[str, Any]) -> Table:
    """The result as a table."""
    shown = Table(title=f"{result['trials']} trials by 1 and by {result['workers']} workers")
    names = ("search", "trials/h, 1", f"trials/h, {result['workers']}", "ratio")
    for name in (*names, "serial share", "ratio possible"):
        shown.add_column(name, justify="left" if name == "search" else "right")
    for name, figures in result["searches"].items():
        one, many, ratio, serial, possible = figures.values()
        cells = (f"{one:,.0f}", f"{many:,.0f}", f"{ratio:.2f}", f"{serial:.1%}", f"{possible:.2f}")
        shown.add_row(name, *cells)
    return shown


def _study(search: Search, trials: int, workers: int) -> optuna.Study:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'workers.db'}"
        study = search.run(trials=trials, storage=url, workers=workers)
        return _kept(study)


def _kept(study: optuna.Study) -> optuna.Study:
    """The study in memory, when its file is gone."""
    kept = optuna.create_study(directions=study.directions)
    kept.add_trials(study.trials)
    return kept


def _per_hour(study: optuna.Study) -> float:
    """By the time from the first trial that ended to the last, in which all workers work."""
    ends = sorted(t.datetime_complete for t in study.trials if t.datetime_complete is not None)
    return 3600 * (len(ends) - 1) / max((ends[-1] - ends[0]).total_seconds(), 1e-9)


def _share_of_measuring(study: optuna.Study) -> float:
    spent = [trial.user_attrs["spent"] for trial in study.trials if "spent" in trial.user_attrs]
    return float(sum(s.get("measuring", 0.0) for s in spent) / sum(s["seconds"] for s in spent))
