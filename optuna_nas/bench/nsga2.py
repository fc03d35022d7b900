"""The conditional NSGA-II against Optuna's samplers, on a network-like conditional space.

Two objectives, both to be minimised: the error of an imaginary network and the logarithm of what it
costs. With L = depth, position p = i / 8 of layer i, and widths w, w' of a layer and the one before:

    error = 0.05 + 0.90 exp(-capacity / 2.5) + 0.05 (log10 lr + 2 + 0.15 L)^2
    capacity = sum over layers of gain x fit x flow
    flow = exp(-ln(w / w')^2 / 2): widths should not jump
    conv       gain 0.6 sqrt(w / 128)         fit exp(-2 p^2 - (k - 7 + 4 p)^2 / 16)
    separable  gain 0.5 sqrt(w e / 384)       fit exp(-2 (p - 0.4)^2 - (k - 5)^2 / 16)
    attention  gain 0.8 sqrt(w r / 256)       fit exp(-2 (p - 1)^2 - (ln(w / h) - ln 16)^2 / 2)
    cost in multiplications per pixel:
    conv k^2 w' w; separable e w' (w' + k^2 + w); attention w' w + (4 + 2 r) w^2 + 64 w

So every operator has a place in the network and parameters of its own, and only `depth`, `stem`,
`lr` and the first two operators belong to every trial.
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

__all__ = ["MARKS", "REFERENCE", "SAMPLERS", "objective", "run", "table"]

REFERENCE = (1.0, 6.5)
"""Error, and log10 of multiplications per pixel, that count as worthless."""

MARKS = (300, 350, 1000)
"""Numbers of trials at which the hypervolume is taken."""

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
    samplers: Sequence[str] = tuple(SAMPLERS)[:-1],
) -> dict[str, Any]:
    """Run every sampler on the space, and compare.

    Args:
        seeds: Repeats of every sampler.
        marks: Numbers of trials at which the hypervolume is taken; the last ends the study.
        samplers: Names out of `SAMPLERS`; TPE takes minutes and has to be asked for.

    Returns:
        `seeds`, `reference`, and for each sampler under `samplers` its median `hypervolume` at each
        mark, and `milliseconds`, the median over seeds of the time per trial around the last mark.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    measured: dict[str, Any] = {}
    for name in samplers:
        runs = [_single(SAMPLERS[name](seed), f"{name} {seed}", marks) for seed in range(seeds)]
        measured[name] = {
            "hypervolume": {
                str(mark): statistics.median(volumes[i] for volumes, _ in runs)
                for i, mark in enumerate(marks)
            },
            "milliseconds": statistics.median(milliseconds for _, milliseconds in runs),
        }
    return {"seeds": seeds, "reference": list(REFERENCE), "samplers": measured}


def table(result: dict[str, Any]) -> Table:
    """Show the result of `run`; ratios are to the first sampler."""
    first, *_ = result["samplers"].values()
    marks = list(first["hypervolume"])
    shown = Table(title=f"Hypervolume, median of {result['seeds']} seeds (ratio to the first)")
    shown.add_column("sampler")
    for mark in marks:
        shown.add_column(f"{mark} trials", justify="right")
    shown.add_column("ms per trial", justify="right")
    for name, measured in result["samplers"].items():
        cells = [
            _against(measured["hypervolume"][mark], first["hypervolume"][mark], 3)
            for mark in marks
        ]
        cells.append(_against(measured["milliseconds"], first["milliseconds"], 2))
        shown.add_row(name, *cells)
    return shown


def _against(value: float, base: float, digits: int) -> str:
    return f"{value:.{digits}f} ({value / base:.2f})"


def _single(sampler: BaseSampler, name: str, marks: Sequence[int]) -> tuple[list[float], float]:
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=sampler, study_name=name
    )
    last = marks[-1]
    started = 0.0
    for number in range(last):
        if number == last - last // 10:
            started = time.perf_counter()
        trial = study.ask()
        study.tell(trial, objective(trial))
    milliseconds = (time.perf_counter() - started) / (last // 10) * 1e3
    points = losses([t.values for t in study.get_trials(deepcopy=False)], study.directions)
    return [hypervolume(points[:mark], REFERENCE) for mark in marks], milliseconds


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
