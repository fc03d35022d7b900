"""Time of a forward pass, against fixed reference networks that run in turn with it."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = [
    "BEARABLE",
    "Goal",
    "Run",
    "Subject",
    "Timing",
    "clock_of",
    "seconds_alone",
    "time_in_turn",
]

PASS_SECONDS = 0.05
MIN_PASSES, MIN_RUNS = 5, 5
"""Passes, and runs in each of them, at least where the limit allows it."""
LEAST_PASSES = 3
"""Passes at least of a network for which the limit is too short; it may be that of one run."""
WARM_SECONDS = (0.02, 0.3)
"""A warm-up lasts at least and at most so long."""
COLD_SECONDS = 3e-3
"""A run shorter than this is preceded by one that is not timed: the other network has just used
the caches, which it would not in production."""
CALIBRATION_LIMITS = (5.0, 20.0)
"""A calibration lasts at least and at most so many limits of a measurement: machines are slower
for seconds on end."""
CONFIRMED = 1.04
"""Passes of a reference whose times are within this ratio confirm each other."""
CALM = 0.1
"""Cores that other programs may use while references are calibrated."""
MOST_PAIRED = 500
"""Runs at most of which all pairs are looked at."""
QUIET = 1.15
"""Slowdown of the references above which a measurement goes on until its limit."""
BEARABLE = 2.5
"""Slowdown above which even the ratio to the reference is not trusted."""

Run = Callable[[], object]
Clock = Callable[[Run], float]
"""Run once, and return the seconds it took."""
Now = Callable[[], float]
"""Seconds since some start; what limits the time of a measurement."""


@dataclass(frozen=True)
class Goal:
    """When a measurement is good enough.

    Args:
        percentile: Of the times of single runs; 50 is the (pseudo)median.
        tolerance: Half-width of the 95 % confidence interval to reach, relative to the value.
        limit: Seconds after which an attempt ends; a network that is slow beside it is run a few
            times nevertheless.
        attempts: Attempts before the measurement is refused.
    """

    percentile: float = 50.0
    tolerance: float = 0.02
    limit: float = 1.0
    attempts: int = 3


@dataclass(frozen=True)
class Timing:
    """What was found, in ms.

    Args:
        value: The percentile asked for.
        p10: 10th percentile of the runs.
        spread: Interquartile range of the passes.
        run_spread: Interquartile range of the runs.
        uncertainty: Half-width of the 95 % confidence interval of the value.
        passes: Passes that the value rests on.
        runs: Timed runs of the candidate in them.
        settled: Whether the uncertainty is within the tolerance.
        slowdown: Time of the references over their time when calibrated, median of the passes.
        references: Name of each reference beside which the network ran -> its calibrated time.
    """

    value: float
    p10: float
    spread: float
    run_spread: float
    uncertainty: float
    passes: int
    runs: int
    settled: bool
    slowdown: float
    references: dict[str, float]


@dataclass(frozen=True)
class Subject:
    """A network that can be timed.

    Args:
        run: Runs it once.
        operators: Operators of one run.
        calibrated: Seconds of a run on the undisturbed machine, where they are known.
        name: Of a reference, for the record.
    """

    run: Run
    operators: int
    calibrated: float = math.nan
    name: str = ""

    def took(self, clock: Clock) -> float:
        """Seconds of a run now: the median of some, of fewer where it is slow."""
        times: list[float] = []
        while len(times) < MIN_RUNS and sum(times) < WARM_SECONDS[1]:
            times.append(clock(self.run))
        return float(np.median(times))


def time_in_turn(
    candidate: Subject,
    references: Sequence[Subject],
    clock: Clock,
    goal: Goal,
    now: Now = perf_counter,
) -> Timing:
    """Time a network run by run in turn with the two references most like it.

    Those are the ones that take as long an operator, next below and next above. Each run of the
    candidate is divided by the slowdown of the references that ran right after it, which is their
    time over the calibrated one: load that slows all alike cancels out. (To leave out the runs
    beside which the references were slow makes it worse: that picks runs by their noise.) A pass
    is some runs; how far the passes agree says how well the value is known.

    Args:
        candidate: The network.
        references: What it may be compared with, at least two, calibrated.
        clock: Times one run.
        goal: When to stop.
        now: The time by which it stops.
    """
    warm_up(candidate.run, clock, now)
    pair, weights, round_seconds = _neighbours(candidate, references, clock)
    turn = (candidate, *pair)
    tail = min(goal.percentile, 100 - goal.percentile) / 50
    wanted = max(MIN_RUNS / tail, PASS_SECONDS / round_seconds)
    runs = math.ceil(min(wanted, goal.limit / round_seconds / MIN_PASSES))
    calibrated = np.array([reference.calibrated for reference in pair])
    named = {reference.name: 1e3 * reference.calibrated for reference in pair}
    times: list[list[float]] = []
    slowdowns: list[NDArray[np.float64]] = []
    started = now()
    while True:
        rounds = np.array([[_warm(subject.run, clock) for subject in turn] for _ in range(runs)])
        times.append(rounds[:, 0].tolist())
        slowdowns.append(np.exp(np.log(rounds[:, 1:] / calibrated) @ weights))
        over = now() - started > goal.limit
        if len(times) < (LEAST_PASSES if over else MIN_PASSES):
            continue
        timing = _summarise(np.array(times), np.array(slowdowns), goal, named)
        if over or (timing.settled and timing.slowdown <= QUIET):
            return timing


def seconds_alone(
    runs: Sequence[Run],
    clock: Clock,
    others: Callable[[], float],
    limit: float,
    now: Now = perf_counter,
) -> tuple[list[float], float]:
    """Time networks alone, in turn: the median of each in the quietest of its passes.

    Passes go on until, of those undisturbed by other programs, some confirm the fastest of each
    network, but not for ever.

    Args:
        runs: Each runs a network once.
        clock: Times one run.
        others: Cores that other programs used since it was last called.
        limit: Seconds after which an attempt at a measurement ends, as in `Goal`.
        now: The time by which it stops.

    Returns:
        Seconds of each network, and the cores that others used meanwhile.
    """
    for run in runs:
        warm_up(run, clock, now)
    counts = [max(MIN_RUNS, math.ceil(PASS_SECONDS / clock(run) / 2)) for run in runs]
    passes: list[tuple[float, list[float]]] = []
    started = now()
    others()
    while True:
        medians = [
            float(np.median([clock(run) for _ in range(count)]))
            for run, count in zip(runs, counts, strict=True)
        ]
        passes.append((others(), medians))
        calm = [medians for used, medians in passes if used <= CALM]
        least, most = (limits * limit for limits in CALIBRATION_LIMITS)
        spent = now() - started
        if spent > most or (spent > least and _confirmed(calm)):
            break
    chosen = calm or [medians for _, medians in passes]
    load = 0.0 if calm else float(np.median([used for used, _ in passes]))
    return np.min(chosen, axis=0).tolist(), load


def _confirmed(passes: Sequence[Sequence[float]]) -> bool:
    """Whether three passes of each network took about as little as its fastest one."""
    if len(passes) < MIN_PASSES:
        return False
    return bool((np.sort(passes, axis=0)[2] <= CONFIRMED * np.min(passes, axis=0)).all())


def clock_of(device: str) -> Clock:
    """How a run is timed on a device: by events on a GPU, which works while Python goes on."""
    return _event_seconds if device.startswith("cuda") else _wall_seconds


def warm_up(run: Run, clock: Clock, now: Now = perf_counter) -> None:
    """Run until the times fall no more."""
    least, most = WARM_SECONDS
    started = now()
    fastest, since = math.inf, 0
    while (spent := now() - started) < most:
        seconds = clock(run)
        since = 0 if seconds < 0.98 * fastest else since + 1
        fastest = min(fastest, seconds)
        if since >= MIN_RUNS and spent > least:
            return


def _neighbours(
    candidate: Subject, references: Sequence[Subject], clock: Clock
) -> tuple[list[Subject], NDArray[np.float64], float]:
    """The references next below and above in seconds an operator, and the weight of each.

    And the seconds of a round: one run of the candidate and of both.
    """
    subjects = (*references, candidate)
    took = np.array([subject.took(clock) for subject in subjects])
    *grains, own = np.log(took / [subject.operators for subject in subjects])
    order = np.argsort(grains).tolist()
    upper = bisect(order, own, lo=1, hi=len(order) - 1, key=grains.__getitem__)
    first, second = order[upper - 1 : upper + 1]
    share = np.clip((own - grains[first]) / max(grains[second] - grains[first], 1e-9), 0, 1)
    each = np.where(took < COLD_SECONDS, 2 * took, took)
    pair = [references[first], references[second]]
    return pair, np.array([1 - share, share]), float(each[[first, second, -1]].sum())


def _summarise(
    times: NDArray[np.float64],
    slowdowns: NDArray[np.float64],
    goal: Goal,
    references: dict[str, float],
) -> Timing:
    """Judge the passes so far: times of the candidate, and slowdowns beside (passes, runs)."""
    undisturbed = 1e3 * times / slowdowns
    values = [_percentile(runs, goal.percentile) for runs in undisturbed]
    low, high = np.percentile(values, (25, 75))
    value = _percentile(undisturbed.ravel(), goal.percentile)
    p10, first, third = np.percentile(undisturbed, (10, 25, 75))
    # McGill, Tukey and Larsen 1978, doi:10.1080/00031305.1978.10479236 (notches).
    uncertainty = 1.57 * (high - low) / math.sqrt(len(values))
    return Timing(
        value=value,
        p10=float(p10),
        spread=float(high - low),
        run_spread=float(third - first),
        uncertainty=float(uncertainty),
        passes=len(values),
        runs=times.size,
        settled=bool(uncertainty <= goal.tolerance * value),
        slowdown=float(np.median(slowdowns)),
        references=references,
    )


def _percentile(runs: NDArray[np.float64], percentile: float) -> float:
    """A percentile of runs; for 50 the pseudomedian, the median of the means of all pairs.

    It withstands outliers as the median does, with less noise of its own: Hodges and Lehmann
    1963, doi:10.1214/aoms/1177704172.
    """
    if percentile != 50:
        return float(np.percentile(runs, percentile))
    runs = runs[:: math.ceil(len(runs) / MOST_PAIRED)]
    first, second = np.triu_indices(len(runs))
    return float(np.median((runs[first] + runs[second]) / 2))


def _warm(run: Run, clock: Clock) -> float:
    """Time one run, after one that is not timed where it is a short one."""
    seconds = clock(run)
    return clock(run) if seconds < COLD_SECONDS else seconds


def _wall_seconds(run: Run) -> float:
    started = perf_counter()
    run()
    return perf_counter() - started


def _event_seconds(run: Run) -> float:
    event: Callable[..., Any] = torch.cuda.Event
    start, end = event(enable_timing=True), event(enable_timing=True)
    start.record()
    run()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) * 1e-3
