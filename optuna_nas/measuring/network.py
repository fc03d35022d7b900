"""Timing networks and references of a setup; this runs in the measuring process."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from time import perf_counter
from typing import Any

import psutil
from torch import Tensor, nn

from optuna_nas import backends
from optuna_nas.exceptions import MeasurementError
from optuna_nas.measuring import reference as references
from optuna_nas.measuring.setup import Setup
from optuna_nas.measuring.timing import (
    BEARABLE,
    Goal,
    Subject,
    Timing,
    clock_of,
    seconds_alone,
    time_in_turn,
)
from optuna_nas.measuring.turns import measuring, turn

__all__ = ["calibrate", "time_network"]

_logger = logging.getLogger(__name__)
_loaded: dict[Setup, dict[int, Subject]] = {}
"""The references of each setup, ready to run: they stay for the life of the process."""
_calibrated: dict[tuple[Setup, float], dict[str, float]] = {}


def calibrate(setup: Setup, limit: float) -> dict[str, float]:
    """Time the references of a setup alone, until the machine was quiet once in this process.

    Args:
        setup: Where and how they run.
        limit: Seconds after which an attempt at a measurement ends; a calibration lasts 5 to 20
            times as long.

    Returns:
        Width of each reference -> ms, and under `load` the cores that other programs used
        meanwhile: 0 where the machine was quiet.
    """
    setup = _beside(setup)
    if (setup, limit) in _calibrated:
        return _calibrated[setup, limit]
    with setup.inference():
        with turn():
            known = _references(setup)
        with measuring():
            runs = [subject.run for subject in known.values()]
            found, load = seconds_alone(runs, clock_of(setup.device), OthersLoad(), limit)
    milliseconds = {str(w): 1e3 * seconds for w, seconds in zip(known, found, strict=True)}
    result = {**milliseconds, "load": round(load, 2)}
    if load == 0:
        _calibrated[setup, limit] = result
    return result


def time_network(
    network: nn.Module, example: Tensor, setup: Setup, goal: Goal, calibrated: Mapping[str, float]
) -> dict[str, Any]:
    """Time one forward pass of a network.

    Args:
        network: The network, in evaluation mode.
        example: Its input (B, ...).
        setup: Where and how it runs.
        goal: When the measurement is good enough.
        calibrated: What `calibrate` found for this setup.

    Returns:
        The fields of a `Timing`, whether our trainings on the host paused, and under `load` the
        cores that other programs used meanwhile.

    Raises:
        MeasurementError: The backend cannot run the network, or the machine was too disturbed in
            every attempt.
    """
    with setup.inference():
        with turn():
            candidate = _load(network.eval(), example, setup)
            known = [
                replace(subject, calibrated=calibrated[str(width)] * 1e-3, name=str(width))
                for width, subject in _references(_beside(setup)).items()
            ]
        spent, attempts = 0.0, 0
        while attempts < goal.attempts and spent <= goal.attempts * goal.limit:
            with measuring() as paused:
                others, started = OthersLoad(), perf_counter()
                timing = time_in_turn(candidate, known, clock_of(setup.device), goal)
                load, spent = round(others(), 2), spent + perf_counter() - started
            attempts += 1
            refused = _refused(timing, goal)
            if refused is None:
                return {**asdict(timing), "trainings_paused": paused, "load": load}
        raise MeasurementError(
            f"refused to record a latency: in {attempts} attempts {refused}; "
            "end what else runs on this machine, or allow a wider tolerance or a longer limit"
        )


def _refused(timing: Timing, goal: Goal) -> str | None:
    """Why a timing cannot be trusted, or None."""
    if timing.slowdown > BEARABLE:
        return f"the reference network ran {timing.slowdown:.1f} times slower than when calibrated"
    if timing.uncertainty > 5 * goal.tolerance * timing.value:
        share = timing.uncertainty / timing.value
        return f"the passes disagreed (95 % confidence interval of +-{share:.0%})"
    return None


def _load(network: nn.Module, example: Tensor, setup: Setup) -> Subject:
    placed = setup.place(network), setup.place(example)
    count = references.operators(*placed)
    return Subject(backends.find(setup.backend)().load(*placed, setup.threads), count)


def _beside(setup: Setup) -> Setup:
    """How the references run beside a network."""
    return replace(setup, backend=backends.find(setup.backend).references)


def _references(setup: Setup) -> dict[int, Subject]:
    if setup not in _loaded:
        _loaded[setup] = {
            width: _load(references.reference(width), references.example(), setup)
            for width in references.WIDTHS
        }
    return _loaded[setup]


class OthersLoad:
    """Cores that other programs of the host used since the last call."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._before = self._now()

    def __call__(self) -> float:
        before, self._before = self._before, self._now()
        wall, used, own = (now - then for now, then in zip(self._before, before, strict=True))
        return max(used - own, 0.0) / max(wall, 1e-9)

    def _now(self) -> tuple[float, float, float]:
        times, own = psutil.cpu_times(), self._process.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        return perf_counter(), sum(times[:8]) - idle, own.user + own.system
