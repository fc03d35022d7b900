"""Does a latency measured beside other work agree with itself, and with the quiet machine?

Random networks of the CNN and MobileNet spaces are timed in two passes, one after another: by the
guarded measurement, and by the median of `torch.utils.benchmark`, while nothing else runs, beside
a training of ours, which gives way, and beside trainings that know nothing of us.

For each case: `tau_guarded` and `tau_plain`, Kendall's tau between the two passes; `bias_p95` and
`worst`, how far recorded values are from those of the quiet machine with as many threads (95th
percentile and largest, relative; for the quiet machine itself: from the plain median); `refused`,
the share of measurements; `seconds_per_measurement`, their median.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from scipy.stats import kendalltau
from torch.utils.benchmark import Timer

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import MeasurementError
from optuna_nas.objectives import Candidate, Latency
from optuna_nas.spaces import CNN, MobileNet
from optuna_nas.spaces.draws import random_trials

__all__ = ["draws", "run", "table"]

INPUT_SHAPE = (3, 32, 32)
LOADS: dict[str, tuple[str, ...]] = {
    "quiet": (),
    "own training": ("own",),
    "foreign, one core": ("foreign",),
    "foreign, two cores": ("foreign", "foreign"),
}
CASES = (
    ("quiet", 1),
    ("own training", 1),
    ("foreign, one core", 1),
    ("quiet", 2),
    ("own training", 2),
    ("foreign, two cores", 2),
)
PASSES = 2
FEWEST = 5
"""Networks below which no correlation is given."""

Values = NDArray[np.float64]


def run(
    networks: int = 40, seed: int = 0, cases: Sequence[tuple[str, int]] = CASES
) -> dict[str, Any]:
    """Measure in every case.

    Args:
        networks: How many are drawn, half from each space.
        seed: Seed of the draws.
        cases: Loads of the machine and threads; a quiet case comes before the others of its
            threads.
    """
    drawn = draws(networks, seed)
    rows, quiet = [], {}
    calibrations = {}
    with Progress(console=Console(stderr=True)) as progress:
        for load, threads in cases:
            task = progress.add_task(f"{load}, {threads} threads", total=PASSES * len(drawn))
            latency = Latency(threads=threads)
            if threads not in calibrations:
                calibrations[threads] = latency.calibrate()
            candidates = [
                Candidate(a, INPUT_SHAPE, 10, calibrations={"latency": calibrations[threads]})
                for a in drawn
            ]
            with _beside(load, threads):
                guarded, plain, seconds = _measure(latency, candidates, progress, task)
            if load == "quiet":
                quiet[threads] = np.nanmedian(guarded, axis=0)
            truth = np.median(plain, axis=0) if load == "quiet" else quiet[threads]
            rows.append({"load": load, "threads": threads, **_row(guarded, plain, seconds, truth)})
    return {"cases": rows}


def table(result: dict[str, Any]) -> Table:
    """The result as a table."""
    shown = Table(title="Latency: two passes over random networks, beside other work")
    columns = (
        "load",
        "threads",
        "tau, guarded",
        "tau, plain",
        "bias, 95 %",
        "worst",
        "plain bias",
    )
    for column in (*columns, "refused", "networks", "s each"):
        shown.add_column(column, justify="left" if column == "load" else "right")
    for row in result["cases"]:
        numbers = [_shown(row[key], ".3f") for key in ("tau_guarded", "tau_plain")]
        shares = [
            _shown(row[key], ".1%") for key in ("bias_p95", "worst", "plain_bias_p95", "refused")
        ]
        rest = [str(row["networks"]), _shown(row["seconds_per_measurement"], ".2f")]
        shown.add_row(row["load"], str(row["threads"]), *numbers, *shares, *rest)
    return shown


def draws(count: int, seed: int) -> list[Architecture]:
    """Random architectures, from the CNN and the MobileNet space in turn."""
    spaces = (CNN(input_shape=INPUT_SHAPE), MobileNet(input_shape=INPUT_SHAPE))
    trials = islice(random_trials(seed), count)
    return [spaces[number % 2](trial) for number, trial in enumerate(trials)]


def _measure(
    latency: Latency, candidates: Sequence[Candidate], progress: Progress, task: Any
) -> tuple[Values, Values, list[float]]:
    """Guarded and plain latencies in ms (passes, networks), NaN where refused; seconds each."""
    guarded, plain = np.full((2, PASSES, len(candidates)), np.nan)
    seconds = []
    for number in range(PASSES):
        for index, candidate in enumerate(candidates):
            started = time.perf_counter()
            try:
                guarded[number, index] = latency(candidate).value
            except MeasurementError as error:
                progress.console.print(f"[dim]{error}[/dim]")
            seconds.append(time.perf_counter() - started)
            plain[number, index] = _plain(candidate, latency.threads)
            progress.advance(task)
    return guarded, plain, seconds


def _plain(candidate: Candidate, threads: int) -> float:
    """Median time of `torch.utils.benchmark`, in ms."""
    network, example = candidate.network.eval(), candidate.example()
    with torch.inference_mode():
        timer = Timer("network(example)", globals=locals(), num_threads=threads)
        return float(timer.blocked_autorange(min_run_time=0.2).median) * 1e3


def _row(guarded: Values, plain: Values, seconds: list[float], truth: Values) -> dict[str, Any]:
    bias = np.abs(guarded / truth - 1)
    bias = bias[np.isfinite(bias)]
    recorded = np.isfinite(guarded).all(axis=0)
    enough = recorded.sum() >= FEWEST
    return {
        "tau_guarded": _tau(guarded[:, recorded]) if enough else None,
        "tau_plain": _tau(plain),
        "bias_p95": float(np.percentile(bias, 95)) if enough else None,
        "worst": float(bias.max()) if len(bias) else None,
        "plain_bias_p95": float(np.percentile(np.abs(plain / truth - 1), 95)),
        "refused": float(np.isnan(guarded).mean()),
        "networks": int(recorded.sum()),
        "seconds_per_measurement": float(np.median(seconds)) if enough else None,
    }


def _tau(passes: Values) -> float:
    return float(kendalltau(passes[0], passes[1]).statistic)


@contextmanager
def _beside(load: str, threads: int) -> Iterator[None]:
    """Keep processes busy that are known to train."""
    with ExitStack() as stack:
        for kind in LOADS[load]:
            each = threads if kind == "own" else 1
            process = subprocess.Popen(
                [sys.executable, "-m", "optuna_nas.bench.load", kind, str(each)],
                stdout=subprocess.PIPE,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            if process.stdout is None or not process.stdout.readline():
                raise MeasurementError(f"the load {kind!r} ended before it began")
            stack.enter_context(process.stdout)
        yield


def _shown(value: float | None, form: str) -> str:
    return "too few" if value is None else format(value, form)
