"""Measured time of one forward pass, guarded against the load of the machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from optuna_nas.exceptions import DescriptionError
from optuna_nas.locks import host_lock
from optuna_nas.objectives.candidate import Candidate, evaluating
from optuna_nas.objectives.objective import Direction, Measurement, Objective, Stage

__all__ = ["Latency"]

PASS_SECONDS = 0.05
MIN_PASSES = 5
WARM_UP_SECONDS = 0.03
CALIBRATION_PASSES = 20
LOCK_SECONDS = 600.0

Run = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Latency(Objective):
    """Time of one forward pass in eager PyTorch on the CPU, in ms; the network is in eval mode.

    A fixed reference network is run alternately with the candidate, run by run; the value is the
    median ratio of their times over the passes, times the reference's time as calibrated once
    for the study. Load that slows both cancels out. Passes are repeated until the confidence
    interval of the median is within the tolerance, or until the limit, and the record says which.
    One measurement runs at a time on a host.

    Args:
        batch: Inputs per forward pass.
        threads: Threads that PyTorch may use while measuring.
        tolerance: Half-width of the 95 % confidence interval to reach, relative to the median.
        limit: Seconds after which the value is recorded as it is, `settled: false`.
    """

    name: str = "latency"
    unit: str = "ms"
    direction: Direction = "minimize"
    batch: int = 1
    threads: int = 1
    tolerance: float = 0.02
    limit: float = 1.0
    stage: ClassVar[Stage] = "model"
    on_device: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("batch", "threads", "tolerance", "limit"):
            if getattr(self, field) <= 0:
                raise DescriptionError(
                    f"expected Latency({field}=...) above 0, got {getattr(self, field)}"
                )

    def __call__(self, candidate: Candidate) -> Measurement:
        shared = candidate.calibrations.get(self.name) or self.calibrate()
        network, example = candidate.network, candidate.example(self.batch)
        with _quiet(network, self.threads):
            ratios, runs = self._ratios(lambda: network(example), _Reference())
        reference = float(shared["reference_ms"])
        low, median, high = np.percentile(ratios, (25, 50, 75)) * reference
        details = {
            "backend": "eager",
            "batch": self.batch,
            "threads": self.threads,
            "passes": len(ratios),
            "runs": runs,
            "reference_ms": reference,
            "settled": self._settled(ratios),
        }
        return Measurement(float(median), float(high - low), details)

    def calibrate(self) -> dict[str, Any]:
        """Time the reference network alone: its median in the quietest of the passes, in ms."""
        reference = _Reference()
        with _quiet(reference.network, self.threads):
            _warm_up(reference)
            runs = max(5, math.ceil(PASS_SECONDS / _seconds(reference)))
            passes = [
                np.median([_seconds(reference) for _ in range(runs)])
                for _ in range(CALIBRATION_PASSES)
            ]
        return {"reference_ms": float(min(passes)) * 1e3}

    def _ratios(self, candidate: Run, reference: Run) -> tuple[list[float], int]:
        """Ratio of the medians of candidate and reference, one a pass, and the runs of each."""
        _warm_up(reference)
        _warm_up(candidate)
        pair = _seconds(candidate) + _seconds(reference)
        runs = max(5, math.ceil(PASS_SECONDS / pair))
        started = perf_counter()
        ratios: list[float] = []
        while len(ratios) < MIN_PASSES or not (
            self._settled(ratios) or perf_counter() - started > self.limit
        ):
            times = np.array([(_seconds(candidate), _seconds(reference)) for _ in range(runs)])
            ours, theirs = np.median(times, axis=0)
            ratios.append(float(ours / theirs))
        return ratios, runs * len(ratios)

    def _settled(self, ratios: list[float]) -> bool:
        """Whether the median is known well enough.

        Source: McGill, Tukey and Larsen 1978, doi:10.1080/00031305.1978.10479236 (notches).
        """
        low, median, high = np.percentile(ratios, (25, 50, 75))
        return bool(1.57 * (high - low) / math.sqrt(len(ratios)) <= self.tolerance * median)


class _Reference:
    """The fixed network that every candidate is compared with, ready to run."""

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = nn.Sequential(
                nn.Conv2d(1, 16, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(16, 32, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(32 * 8 * 8, 10),
            ).eval()
            self.example = torch.randn(1, 1, 16, 16)

    def __call__(self) -> object:
        return self.network(self.example)


def _seconds(run: Run) -> float:
    started = perf_counter()
    run()
    return perf_counter() - started


def _warm_up(run: Run) -> None:
    started = perf_counter()
    while True:
        run()
        if perf_counter() - started > WARM_UP_SECONDS:
            return


@contextmanager
def _quiet(network: nn.Module, threads: int) -> Iterator[None]:
    """One measurement at a time on this host, in inference mode, with a fixed thread count."""
    before = torch.get_num_threads()
    with host_lock("latency", LOCK_SECONDS), evaluating(network), torch.inference_mode():
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
