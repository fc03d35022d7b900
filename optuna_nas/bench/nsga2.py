"""The conditional NSGA-II against Optuna's samplers, on a network-like conditional space.

Two objectives, both to be minimised: the error of an imaginary network, and the logarithm of its
cost. With L = depth, place p = i / 8 of layer i, widths w, w' of a layer and of the one before,
kernel k, expansion e, heads h and ratio r:

    error = 0.05 + 0.90 exp(-capacity / 2.5) + 0.05 (log10 lr + 2 + 0.15 L)^2
    capacity = sum over layers of gain x fit x flow
    flow = exp(-ln(w / w')^2 / 2): widths should not jump
    conv       gain 0.6 sqrt(w / 128)         fit exp(-2 p^2 - (k - 7 + 4 p)^2 / 16)
    separable  gain 0.5 sqrt(w e / 384)       fit exp(-2 (p - 0.4)^2 - (k - 5)^2 / 16)
    attention  gain 0.8 sqrt(w r / 256)       fit exp(-2 (p - 1)^2 - (ln(w / h) - ln 16)^2 / 2)
    cost in multiplications per pixel:
    conv k^2 w' w; separable e w' (w' + k^2 + w); attention w' w + (4 + 2 r) w^2 + 64 w

So every operator has a place in the network and parameters of its own, and only `depth`, `stem`,
`lr` and the first two operators belong to every trial. The space was written before anything was
measured on it and not changed since.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler
from rich.table import Table

from optuna_nas.pareto import hypervolume, losses
from optuna_nas.samplers import NSGAII, by_name

__all__ = ["HISTORIES", "MARKS", "REFERENCE", "SAMPLERS", "objective", "run", "table"]

REFERENCE = (1.0, 6.5)
"""Error, and log10 of multiplications per pixel, that count as worthless."""

MARKS = (300, 350, 1000)
"""Numbers of trials at which the hypervolume is taken."""

HISTORIES = (1000, 10000)
"""Numbers of finished trials at which the time of a trial is taken."""

SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "ours": lambda seed: NSGAII(seed=seed),
    "optuna nsga2": lambda seed: NSGAIISampler(seed=seed),
    "optuna nsga2, population 20": lambda seed: NSGAIISampler(population_size=20, seed=seed),
    "random": lambda seed: by_name("random", seed),
    "tpe": lambda seed: by_name("tpe", seed),
}


def objective(trial: optuna.Trial) -> tuple[float, float]:
    """Error and log10 cost of the network that the trial draws (see the top of this file)."""
    depth = trial.suggest_int("depth", 2, 8)
    width = trial.suggest_int("stem", 8, 64, step=8)
    rate = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    capacity, cost = 0.0, 27.0 * width
    for i in range(depth):
        operator = trial.suggest_categorical(f"layer{i}.operator", list(_OPERATORS))
        before = width
        width = trial.suggest_int(f"layer{i}.{operator}.width", 16, 128, step=16)
        flow = math.exp(-(math.log(width / before) ** 2) / 2)
        worth, price = _OPERATORS[operator](trial, f"layer{i}.{operator}", i / 8, before, width)
        capacity += worth * flow
        cost += price
    distance = math.log10(rate) + 2 + 0.15 * depth
    return 0.05 + 0.9 * math.exp(-capacity / 2.5) + 0.05 * distance**2, math.log10(cost)


def run(
    seeds: int = 10,
    marks: Sequence[int] = MARKS,
    histories: Sequence[int] = HISTORIES,
    samplers: Sequence[str] = tuple(SAMPLERS)[:-1],
) -> dict[str, Any]:
    """Run every sampler on the space, and compare.

    Args:
        seeds: Repeats of every sampler.
        marks: Numbers of trials at which the hypervolume is taken; the last ends the study.
        histories: Numbers of finished trials with which the time of a trial is taken.
        samplers: Names out of `SAMPLERS`; TPE takes minutes and has to be asked for.

    Returns:
        `seeds`, `reference`, and under `samplers` for each its `hypervolume` at each mark (median
        over the seeds) and its `milliseconds`: the median time in memory, at each history, of a
        trial with 40 suggestions (ask, suggest, tell).
    """
    times = {finished: _milliseconds(finished, samplers) for finished in histories}
    measured: dict[str, Any] = {}
    for name in samplers:
        volumes = [_hypervolumes(SAMPLERS[name](seed), marks) for seed in range(seeds)]
        medians = map(statistics.median, zip(*volumes, strict=True))
        measured[name] = {
            "hypervolume": {str(m): volume for m, volume in zip(marks, medians, strict=True)},
            "milliseconds": {str(n): by_sampler[name] for n, by_sampler in times.items()},
        }
    return {"seeds": seeds, "reference": list(REFERENCE), "samplers": measured}


def table(result: dict[str, Any]) -> Table:
    """Show the result of `run`; ratios are to the first sampler."""
    first, *_ = result["samplers"].values()
    shown = Table(title=f"Median of {result['seeds']} seeds (ratio to the first sampler)")
    shown.add_column("sampler")
    for mark in first["hypervolume"]:
        shown.add_column(f"hypervolume\n{mark} trials", justify="right")
    for finished in first["milliseconds"]:
        shown.add_column(f"ms a trial\nafter {finished}", justify="right")
    for name, measured in result["samplers"].items():
        cells = [_against(v, first["hypervolume"][k]) for k, v in measured["hypervolume"].items()]
        cells += [
            _against(v, first["milliseconds"][k]) for k, v in measured["milliseconds"].items()
        ]
        shown.add_row(name, *cells)
    return shown


def _against(value: float, base: float) -> str:
    return f"{value:.2f} ({value / base:.2f})"


def _hypervolumes(sampler: BaseSampler, marks: Sequence[int]) -> list[float]:
    study = _study(sampler)
    for _ in range(marks[-1]):
        trial = study.ask()
        study.tell(trial, objective(trial))
    points = losses([t.values for t in study.get_trials(deepcopy=False)], study.directions)
    return [hypervolume(points[:mark], REFERENCE) for mark in marks]


def _milliseconds(finished: int, samplers: Sequence[str]) -> dict[str, float]:
    study = _study(by_name("random", 0))
    for _ in range(finished):
        _timed(study)
    times = {}
    for name in samplers:
        study.sampler = SAMPLERS[name](0)
        _timed(study)  # the first trial reads the whole history
        times[name] = statistics.median(_timed(study) for _ in range(20)) * 1e3
    return times


def _timed(study: optuna.Study) -> float:
    start = time.perf_counter()
    trial = study.ask()
    numbers = [trial.suggest_int(f"number{i}", 1, 9) for i in range(20)]
    words = [trial.suggest_categorical(f"word{i}", ["a", "b", "c"]) for i in range(20)]
    study.tell(trial, (sum(numbers), words.count("a") - numbers[0]))
    return time.perf_counter() - start


def _study(sampler: BaseSampler) -> optuna.Study:
    return optuna.create_study(
        directions=["minimize", "minimize"], sampler=sampler, study_name="nsga2"
    )


def _conv(
    trial: optuna.Trial, name: str, place: float, before: int, width: int
) -> tuple[float, float]:
    kernel = trial.suggest_int(f"{name}.kernel", 3, 7, step=2)
    fit = math.exp(-2 * place**2 - (kernel - 7 + 4 * place) ** 2 / 16)
    return 0.6 * math.sqrt(width / 128) * fit, kernel**2 * before * width


def _separable(
    trial: optuna.Trial, name: str, place: float, before: int, width: int
) -> tuple[float, float]:
    kernel = trial.suggest_int(f"{name}.kernel", 3, 7, step=2)
    expand = trial.suggest_int(f"{name}.expand", 1, 6)
    fit = math.exp(-2 * (place - 0.4) ** 2 - (kernel - 5) ** 2 / 16)
    worth = 0.5 * math.sqrt(width * expand / 384) * fit
    return worth, expand * before * (before + kernel**2 + width)


def _attention(
    trial: optuna.Trial, name: str, place: float, before: int, width: int
) -> tuple[float, float]:
    heads = trial.suggest_int(f"{name}.heads", 1, 8)
    ratio = trial.suggest_float(f"{name}.ratio", 1.0, 4.0)
    fit = math.exp(-2 * (place - 1) ** 2 - (math.log(width / heads) - math.log(16)) ** 2 / 2)
    worth = 0.8 * math.sqrt(width * ratio / 256) * fit
    return worth, before * width + (4 + 2 * ratio) * width**2 + 64 * width


_Operator = Callable[[optuna.Trial, str, float, int, int], tuple[float, float]]
_OPERATORS: dict[str, _Operator] = {
    "conv": _conv,
    "separable": _separable,
    "attention": _attention,
}
