"""Latency predictors on held-back networks of the CNN and the MobileNet space.

Networks are drawn at random and measured by the guarded `Latency`, the held-back ones twice, in
two passes. The first of the others correct the latency table, all of them are what the learned
predictor learns from, and the scale of the comparison, a latency proportional to FLOPs, is fitted
to them too. The table holds the blocks that these networks have, each timed once: for them it
predicts what a table of the whole space would.

A prediction is compared with the mean of the two passes. `repeat` is the second pass compared with
the first: their errors add up, so that a prediction without any, compared with the mean, would
seem about half as far off. Of the networks `drawn` to be held back, `held_back` are scored; the
others were refused, or one of their blocks was.

For each: `within_10`, the share of held-back networks within 10 %; `median_error` and `p90_error`,
relative; `spearman` and `kendall`, rank correlations; `z`, root mean square of the errors over the
predicted standard deviations, 1 where the uncertainty is right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from scipy.stats import kendalltau, spearmanr

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import MeasurementError
from optuna_nas.objectives import Candidate, FLOPs, Latency
from optuna_nas.predictors import LatencyTable, LearnedLatency, complete
from optuna_nas.spaces import CNN, MobileNet
from optuna_nas.spaces.draws import random_trials

__all__ = ["run", "table"]

INPUT_SHAPE = (3, 32, 32)
OUTPUTS = 10
SPACES: dict[str, Callable[[optuna.Trial], Architecture]] = {
    "cnn": CNN(input_shape=INPUT_SHAPE),
    "mobilenet": MobileNet(input_shape=INPUT_SHAPE),
}

Values = NDArray[np.float64]
Predictions = tuple[Values, Values | None]
"""Mean, and standard deviation where there is one, in ms."""


def run(
    learned: int = 50,
    corrected: int = 20,
    held_back: int = 32,
    seed: int = 0,
    latency: Latency | None = None,
) -> dict[str, Any]:
    """Measure, predict and compare.

    Args:
        learned: Networks that the learned predictor learns from.
        corrected: How many of them correct the table.
        held_back: Further networks, which are predicted.
        seed: Seed of the draws.
        latency: How they are timed.
    """
    counts = _Counts(learned, corrected, held_back)
    with Progress(console=Console(stderr=True)) as progress:
        rows = [_space(name, counts, seed, latency or Latency(), progress) for name in SPACES]
    return {"spaces": rows}


def table(result: dict[str, Any]) -> Table:
    """The result as a table."""
    shown = Table(title="Predicted latency of held-back networks")
    columns = ("within 10 %", "median error", "90 % within", "Spearman", "Kendall", "z")
    shown.add_column("space")
    shown.add_column("predictor")
    for column in columns:
        shown.add_column(column, justify="right")
    for space in result["spaces"]:
        for name, scores in space["predictors"].items():
            shares = [f"{scores[key]:.1%}" for key in ("within_10", "median_error", "p90_error")]
            ranks = [f"{scores[key]:.3f}" for key in ("spearman", "kendall")]
            z = "" if scores["z"] is None else f"{scores['z']:.2f}"
            shown.add_row(
                f"{space['space']}, {space['held_back']} of {space['drawn']}",
                name,
                *shares,
                *ranks,
                z,
            )
        shown.add_section()
    return shown


@dataclass(frozen=True)
class _Counts:
    learned: int
    corrected: int
    held_back: int


@dataclass
class _Meter:
    """Times networks, with one calibration and a bar that shows how far it is."""

    latency: Latency
    calibration: dict[str, Any]
    progress: Progress
    task: Any

    def __call__(self, architectures: Sequence[Architecture]) -> Values:
        """Latency of each in ms, NaN where it was refused."""
        return np.array([self._one(architecture) for architecture in architectures])

    def _one(self, architecture: Architecture) -> float:
        shared = {self.latency.name: self.calibration}
        candidate = Candidate(architecture, INPUT_SHAPE, OUTPUTS, calibrations=shared)
        self.progress.advance(self.task)
        try:
            return self.latency(candidate).value
        except MeasurementError as error:
            self.progress.console.print(f"[dim]{error}[/dim]")
            return np.nan


def _space(
    name: str, counts: _Counts, seed: int, latency: Latency, progress: Progress
) -> dict[str, Any]:
    known, held_back = _draws(SPACES[name], counts, seed)
    task = progress.add_task(f"{name}, networks", total=len(known) + 2 * len(held_back))
    meter = _Meter(latency, latency.calibrate(), progress, task)
    measured, first = meter(known), meter(held_back)
    known, measured = _recorded(known, measured)
    timed = _table(name, known[: counts.corrected], measured, held_back, meter)
    second = meter(held_back)
    kept = np.isfinite(first) & np.isfinite(second) & _covered(timed, held_back)
    shown = [a for a, keep in zip(held_back, kept, strict=True) if keep]
    model = LearnedLatency(INPUT_SHAPE, OUTPUTS).fit(known, measured)
    truth = (first[kept] + second[kept]) / 2
    predictions: dict[str, Predictions] = {
        "table": timed.predict(shown),
        "learned": model.predict(shown),
        "flops": (_proportional(known, measured, shown), None),
    }
    return {
        "space": name,
        "learned_from": len(known),
        "corrected_by": len(timed.usable),
        "drawn": len(held_back),
        "held_back": len(shown),
        "refused": int(np.isnan(first).sum() + np.isnan(second).sum()),
        "blocks_timed": len(timed.blocks),
        "predictors": {
            **{key: _scores(*found, truth) for key, found in predictions.items()},
            "repeat": _scores(second[kept], None, first[kept]),
        },
    }


def _draws(
    space: Callable[[optuna.Trial], Architecture], counts: _Counts, seed: int
) -> tuple[list[Architecture], list[Architecture]]:
    """Random networks, no two alike: those to learn from, and those held back."""
    drawn: dict[str, Architecture] = {}
    for architecture in map(space, random_trials(seed)):
        drawn.setdefault(architecture.digest, architecture)
        if len(drawn) == counts.learned + counts.held_back:
            break
    networks = list(drawn.values())
    return networks[: counts.learned], networks[counts.learned :]


def _recorded(
    architectures: list[Architecture], measured: Values
) -> tuple[list[Architecture], Values]:
    kept = np.isfinite(measured)
    return [a for a, keep in zip(architectures, kept, strict=True) if keep], measured[kept]


def _table(
    name: str,
    correcting: list[Architecture],
    measured: Values,
    held_back: list[Architecture],
    meter: _Meter,
) -> LatencyTable:
    """A table of the blocks that these networks have."""
    timed = LatencyTable(
        INPUT_SHAPE, OUTPUTS, meter.latency, calibration=meter.calibration, networks={}
    )
    task = meter.progress.add_task(f"{name}, blocks", total=None)
    complete(
        timed,
        timed.missing([*correcting, *held_back]),
        on_progress=lambda done, total: meter.progress.update(task, completed=done, total=total),
    )
    timed.networks = dict(zip(correcting, measured.tolist(), strict=False))
    return timed


def _covered(timed: LatencyTable, architectures: Sequence[Architecture]) -> NDArray[np.bool_]:
    return np.array([not timed.missing([architecture]) for architecture in architectures])


def _proportional(
    known: Sequence[Architecture], measured: Values, wanted: Sequence[Architecture]
) -> Values:
    """A latency proportional to FLOPs, right for the median of the known networks."""
    return _flops(wanted) * np.median(measured / _flops(known))


def _flops(architectures: Sequence[Architecture]) -> Values:
    count = FLOPs()
    candidates = (Candidate(a, INPUT_SHAPE, OUTPUTS) for a in architectures)
    return np.array([count(candidate).value for candidate in candidates])


def _scores(predicted: Values, deviations: Values | None, truth: Values) -> dict[str, Any]:
    error = np.abs(predicted / truth - 1)
    scaled = None if deviations is None else (predicted - truth) / deviations
    return {
        "within_10": float(np.mean(error <= 0.1)),
        "median_error": float(np.median(error)),
        "p90_error": float(np.percentile(error, 90)),
        "spearman": float(spearmanr(predicted, truth).statistic),
        "kendall": float(kendalltau(predicted, truth).statistic),
        "z": None if scaled is None else float(np.sqrt(np.mean(scaled**2))),
    }
