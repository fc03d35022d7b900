"""What a pruning decision costs, and what pruning keeps of the front of real learning curves.

Cost: a trial reaches the first rung of a study of many trials in memory; ours with two objectives
(accuracy against latency, a saturating trade-off with noise) and with one, beside Optuna's
Hyperband with one, in turn in the same run.

Kept: the first 200 cells of NAS-Bench-201 with their validation curves on CIFAR-10 and latency
measured on a Xeon Gold 6226, in random orders, one after another: halving, halving by accuracy
alone, and `LearningCurve` from the first rung on. The pruner is asked during the first half of the
training: a rung near its end saves nothing. `front` is the hypervolume of the survivors over that
of all, the reference being the worst of all; `epochs` the share of full training.

Source: Dong and Yang 2020, arXiv:2001.00326; latencies: Lee et al. 2021, arXiv:2106.08630.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.pruners import BasePruner, HyperbandPruner
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from rich.table import Table

from optuna_nas.pareto import hypervolume, losses
from optuna_nas.pruners import (
    LearningCurve,
    ParetoHyperband,
    ParetoSuccessiveHalving,
    report,
    should_prune,
)

__all__ = ["data_folder", "decision_ms", "halve", "real_curves", "run", "table"]

DIRECTIONS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)
NAMES = ("accuracy", "latency")
LADDERS = ((12, 4), (7, 3))
"""First rung and reduction factor; the training ends at 200 epochs."""

Curves = NDArray[np.float64]


def run(
    histories: Sequence[int] = (1000, 5000),
    seeds: int = 10,
    ladders: Sequence[tuple[int, int]] = LADDERS,
    decisions: int = 50,
) -> dict[str, Any]:
    """Measure the cost of decisions, and replay the real curves where they are at hand.

    Returns:
        `decisions`: one row a history, milliseconds and ratios to Optuna's; `real`: one row a
        ladder, or None without the data.
    """
    with _quiet():
        cost = [_cost(trials, decisions) for trials in histories]
        found = real_curves(data_folder())
        real = None if found is None else [_kept(*found, *ladder, seeds) for ladder in ladders]
    return {"decisions": cost, "real": real}


def table(result: dict[str, Any]) -> Table:
    """The result as a table."""
    shown = Table(title="Pruner: cost of a decision, and what it keeps of real curves")
    for column in ("case", "ours", "ours, one objective", "Optuna, one objective", "ratio"):
        shown.add_column(column, justify="left" if column == "case" else "right")
    for row in result["decisions"]:
        times = [f"{row[key]:.2f} ms" for key in ("pareto", "one", "optuna")]
        shown.add_row(f"{row['trials']} trials", *times, f"{row['pareto'] / row['optuna']:.2f}")
    for row in result["real"] or ():
        case = f"rung {row['min_resource']}, factor {row['reduction_factor']}"
        ours, one = (f"{row[k]['front']:.3f} of the front" for k in ("pareto", "accuracy"))
        shown.add_row(case, ours, one, "", f"{row['pareto']['epochs']:.3f} of the epochs")
        extrapolated = row["learning_curve"]
        share = f"{extrapolated['epochs']:.3f} of the epochs"
        case = f"extrapolation from epoch {row['min_resource']}"
        shown.add_row(case, f"{extrapolated['front']:.3f} of the front", "", "", share)
    return shown


def decision_ms(
    make_pruner: Callable[[], BasePruner], objectives: int, trials: int, decisions: int
) -> float:
    """Median time of the decisions taken at the first rung of a study in memory, in ms."""
    rng = np.random.default_rng(0)
    study = optuna.create_study(
        directions=DIRECTIONS[:objectives], pruner=make_pruner(), study_name="bench"
    )
    for _ in range(trials):
        study.add_trial(_finished(_candidate(rng)[:objectives]))
    spent = []
    for _ in range(decisions):
        trial = study.ask()
        report(trial, 1, dict(zip(NAMES, _candidate(rng)[:objectives], strict=False)))
        start = time.perf_counter()
        should_prune(trial)
        elapsed = 1000 * (time.perf_counter() - start)
        study.tell(trial, state=TrialState.PRUNED)
        if "completed_rung_0" in study._storage.get_trial_system_attrs(trial._trial_id):
            spent.append(elapsed)
    return statistics.median(spent)


def data_folder() -> Path:
    """Where the real data is, if anywhere: OPTUNA_NAS_DATA, or beside the project."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    return Path(os.environ.get("OPTUNA_NAS_DATA") or beside)


def real_curves(folder: Path) -> tuple[Curves, Curves] | None:
    """Validation accuracies (N, 200) in % and latencies (N,) in ms; None without the data."""
    files = [folder / name for name in ("nb201_cifar10_curves_200.npz", "nb201_cifar10.npz")]
    if not all(file.exists() for file in files):
        return None
    with np.load(files[0]) as curves, np.load(files[1]) as cells:
        device = [str(name) for name in cells["devices"]].index("gold_6226")
        latency = cells["latency_ms"][curves["arch_index"], device].astype(float)
        accuracy = curves["valid_acc"].astype(float)
    known = np.isfinite(latency) & np.isfinite(accuracy).all(axis=1)
    return accuracy[known], latency[known]


def halve(
    accuracy: Curves, latency: Curves, pruner: BasePruner, order: Sequence[int], blind: bool
) -> tuple[list[int], int]:
    """Train candidates one after another under a pruner.

    Args:
        accuracy: Learning curves (N, T).
        latency: Costs (N,).
        pruner: Decides.
        order: Candidates in the order in which they are tried.
        blind: Judge by accuracy alone.

    Returns:
        The candidates that were trained to the end, and the epochs spent on all.
    """
    directions = DIRECTIONS[:1] if blind else DIRECTIONS
    study = optuna.create_study(directions=directions, pruner=pruner, study_name="halve")
    survivors, epochs = [], 0
    for candidate in order:
        trial = study.ask()
        for epoch, value in enumerate(accuracy[candidate], start=1):
            known = {} if blind else {"latency": latency[candidate]}
            report(trial, epoch, {"accuracy": value, **known})
            if 2 * epoch <= accuracy.shape[1] and should_prune(trial):
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            survivors.append(candidate)
            study.tell(trial, [value] if blind else [value, latency[candidate]])
        epochs += epoch
    return survivors, epochs


def _cost(trials: int, decisions: int) -> dict[str, float]:
    return {
        "trials": trials,
        "pareto": decision_ms(lambda: ParetoHyperband(1, 27), 2, trials, decisions),
        "one": decision_ms(lambda: ParetoHyperband(1, 27), 1, trials, decisions),
        "optuna": decision_ms(lambda: HyperbandPruner(1, 27), 1, trials, decisions),
    }


def _kept(
    accuracy: Curves, latency: Curves, min_resource: int, reduction_factor: int, seeds: int
) -> dict[str, Any]:
    points = losses(np.column_stack([accuracy[:, -1], latency]).tolist(), DIRECTIONS)
    reference = points.max(axis=0).tolist()
    whole = hypervolume(points, reference)

    def halving() -> BasePruner:
        return ParetoSuccessiveHalving(min_resource, reduction_factor)

    def replay(make_pruner: Callable[[], BasePruner], blind: bool = False) -> dict[str, float]:
        fronts, shares = [], []
        for seed in range(seeds):
            order = np.random.default_rng(seed).permutation(len(latency)).tolist()
            survivors, epochs = halve(accuracy, latency, make_pruner(), order, blind)
            fronts.append(hypervolume(points[survivors], reference) / whole)
            shares.append(epochs / accuracy.size)
        return {
            "front": statistics.mean(fronts),
            "median": statistics.median(fronts),
            "worst": min(fronts),
            "epochs": statistics.mean(shares),
        }

    return {
        "min_resource": min_resource,
        "reduction_factor": reduction_factor,
        "pareto": replay(halving),
        "accuracy": replay(halving, blind=True),
        "learning_curve": replay(lambda: LearningCurve(warmup=min_resource)),
    }


def _candidate(rng: np.random.Generator) -> tuple[float, float]:
    latency = rng.uniform(0.1, 8)
    return 0.4 + 0.5 * (1 - float(np.exp(-latency / 2))) * rng.uniform(0.7, 1), latency


def _finished(values: tuple[float, ...]) -> optuna.trial.FrozenTrial:
    if len(values) == 1:
        return create_trial(
            state=TrialState.PRUNED,
            intermediate_values={1: values[0]},
            system_attrs={"completed_rung_0": values[0]},
        )
    attrs = {"nas:step:1": list(values), "completed_rung_0": list(values)}
    return create_trial(state=TrialState.PRUNED, system_attrs=attrs)


@contextmanager
def _quiet() -> Iterator[None]:
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
