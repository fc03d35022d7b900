"""Energy of a forward pass by the machine's own counter; this runs in the measuring process."""

from __future__ import annotations

import time
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from optuna_nas import backends
from optuna_nas.backends import Run
from optuna_nas.exceptions import MeasurementError
from optuna_nas.measuring.counters import Counter, counter_of
from optuna_nas.measuring.setup import Setup
from optuna_nas.measuring.turns import measuring, turn

__all__ = ["idle_power", "joules_per_run"]

PATIENCE = 5.0
"""Seconds in which a working counter moves."""
GLANCE = 2e-3
"""Seconds from one reading of the counter to the next, since to read it takes energy too."""
IDLE_STEPS = 20
"""Steps of the counter at least while nothing runs."""


def joules_per_run(
    network: nn.Module, example: Tensor, setup: Setup, passes: int, seconds: float, powercap: str
) -> dict[str, Any]:
    """Run a network over and over, and share what the counter counts among the runs.

    Args:
        network: The network.
        example: Its input (B, ...).
        setup: Where and how it runs.
        passes: How often to measure.
        seconds: How long a pass lasts at least.
        powercap: Folder of Linux's powercap zones.

    Returns:
        `joules` a run, the median of the passes; their interquartile range `spread`; `watts`,
        `runs`, the name of the `counter` and whether our trainings had `trainings_paused`.

    Raises:
        MeasurementError: There is no counter, it stands still, or the backend cannot run the
            network.
    """
    counter = counter_of(setup.device, powercap)
    with setup.inference():
        with turn():
            placed = setup.place(network.eval()), setup.place(example)
            loaded = backends.find(setup.backend)().load(*placed, setup.threads)
            run = _finishing(loaded, setup.device)
        with measuring() as paused:
            _pass(run, counter, 0.0)  # warm-up
            found = np.array([_pass(run, counter, seconds) for _ in range(passes)])
    joules, runs, spent = found.T
    low, median, high = np.percentile(joules / runs, (25, 50, 75))
    return {
        "joules": float(median),
        "spread": float(high - low),
        "watts": round(float(joules.sum() / spent.sum()), 3),
        "runs": int(runs.sum()),
        "counter": counter.name,
        "trainings_paused": paused,
    }


def idle_power(setup: Setup, seconds: float, powercap: str) -> float:
    """Power of the device while we do nothing, W."""
    counter = counter_of(setup.device, powercap)
    with measuring():
        before, started = counter.joules(), perf_counter()
        time.sleep(max(seconds, IDLE_STEPS * counter.step))
        return (counter.joules() - before) / (perf_counter() - started)


def _pass(run: Run, counter: Counter, seconds: float) -> tuple[float, int, float]:
    """Energy in J, runs and seconds from one step of the counter to a later one."""
    _step(run, counter)
    before, started = counter.joules(), perf_counter()
    runs = _some(run, seconds) + _step(run, counter)
    return counter.joules() - before, runs, perf_counter() - started


def _step(run: Run, counter: Counter) -> int:
    """Run until the counter moves, and say how often."""
    before, started = counter.joules(), perf_counter()
    runs = 0
    while counter.joules() == before:
        if perf_counter() - started > PATIENCE:
            raise MeasurementError(
                f"expected the counter of energy ({counter.name}) to move while a network runs, "
                f"got the same reading for {PATIENCE:g} s; this machine's counter does not work"
            )
        runs += _some(run, GLANCE)
    return runs


def _some(run: Run, seconds: float) -> int:
    """Run for so long, once at least, and say how often."""
    started, runs = perf_counter(), 0
    while runs == 0 or perf_counter() - started < seconds:
        run()
        runs += 1
    return runs


def _finishing(run: Run, device: str) -> Run:
    """On a GPU a run returns before its work is done."""
    if not device.startswith("cuda"):
        return run

    def finished() -> None:
        run()
        torch.cuda.synchronize(device)

    return finished
