"""One search replayed on a table of trained networks."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from optuna_nas import pruners
from optuna_nas.bench import peer
from optuna_nas.bench.ledger import LOOK, Ledger, Payment
from optuna_nas.bench.peer import PEERS
from optuna_nas.bench.tabular import Cell, Table
from optuna_nas.pruners import FreezeThaw, report, should_prune
from optuna_nas.pruners.freeze_thaw import THROUGH
from optuna_nas.samplers import (
    NSGAII,
    LocalSearch,
    Predictor,
    RegularizedEvolution,
    Reinforce,
    by_name,
)

__all__ = ["COST_ONLY", "METHODS", "Replay", "replay"]

COST_ONLY = "cost-only"
"""Trains the cells with most parameters in each of as many bins of cost as it can pay for, and
chooses them without any training."""
IDLE = 1000
"""Trials in a row that pay for nothing after which a space counts as exhausted."""
LOOKED_AT = 0.1
"""Share of its budget for which `cost-only` looks at costs."""


def _paused(problem: Table) -> BasePruner:
    *rungs, end = problem.steps
    return FreezeThaw(rungs, end) if rungs else NopPruner()


def _halved(problem: Table) -> BasePruner:
    least, end = problem.steps[0], problem.steps[-1]
    return pruners.by_name("hyperband", least, end) if least < end else NopPruner()


@dataclass(frozen=True)
class Method:
    """A way to search.

    Args:
        sampler: Makes its sampler from the ledger and a seed.
        pruner: Makes its pruner.
    """

    sampler: Callable[[Ledger, int], BaseSampler]
    pruner: Callable[[Table], BasePruner] = lambda _: NopPruner()


METHODS: dict[str, Method] = {
    "predictor": Method(
        lambda ledger, seed: Predictor(ledger.problem.space, ledger.known, seed=seed), _paused
    ),
    "predictor-no-known-cost": Method(
        lambda ledger, seed: Predictor(ledger.problem.space, seed=seed), _paused
    ),
    "predictor-full-only": Method(
        lambda ledger, seed: Predictor(ledger.problem.space, ledger.known, seed=seed)
    ),
    "nsga2": Method(lambda _, seed: NSGAII(seed=seed)),
    "regularized-evolution": Method(
        lambda ledger, seed: RegularizedEvolution(ledger.problem.space, seed=seed)
    ),
    "local-search": Method(lambda ledger, seed: LocalSearch(ledger.problem.space, seed=seed)),
    "reinforce": Method(lambda ledger, seed: Reinforce(ledger.problem.space, seed=seed)),
    "optuna-nsga2": Method(lambda _, seed: NSGAIISampler(seed=seed)),
    "optuna-nsga2-20": Method(lambda _, seed: NSGAIISampler(population_size=20, seed=seed)),
    "optuna-tpe": Method(lambda _, seed: TPESampler(seed=seed)),
    "optuna-tpe-multivariate": Method(lambda _, seed: TPESampler(multivariate=True, seed=seed)),
    "optuna-tpe-group": Method(
        lambda _, seed: TPESampler(multivariate=True, group=True, seed=seed)
    ),
    "optuna-gp": Method(lambda _, seed: GPSampler(seed=seed, warn_independent_sampling=False)),
    "view-tpe": Method(lambda _, seed: by_name("tpe", seed), _halved),
    "view-nsga2": Method(lambda _, seed: by_name("optuna-nsga2", seed), _halved),
    "random": Method(lambda _, seed: RandomSampler(seed=seed)),
}


@dataclass(frozen=True)
class Replay:
    """One replay.

    Args:
        paid: What was paid for, in order; for each of the budgets where a method has to know its
            budget, so that there are as many searches.
        milliseconds: The sampler's own time for a trial, median.
    """

    paid: list[list[Payment]]
    milliseconds: float


def replay(
    problem: Table, method: str, seed: int, budgets: Sequence[float], python: str = ""
) -> Replay:
    """Replay one method with one seed, up to the last of budgets in full trainings.

    Args:
        problem: The table.
        method: Out of `METHODS` or `PEERS`, or `COST_ONLY`.
        seed: Of every choice.
        budgets: In full trainings, rising.
        python: The interpreter of a peer's environment.
    """
    if method == COST_ONLY:
        return Replay([_cost_only(problem, budget, seed) for budget in budgets], math.nan)
    if method in PEERS:
        peers, took = peer.replay(problem, method, python, seed, budgets[-1])
        return Replay([peers.paid], 1e3 * float(np.median(took)))
    ledger = Ledger(problem)
    study = _study(problem, METHODS[method], ledger, seed)
    times, idle = [], 0
    while ledger.spent < budgets[-1] * problem.unit and idle < IDLE and not ledger.exhausted:
        started = time.perf_counter()
        trial = study.ask()
        cell = problem.space(trial)
        times.append(time.perf_counter() - started)
        before = ledger.spent
        values = _train(trial, ledger, cell)
        study.tell(trial, values, state=TrialState.COMPLETE if values else TrialState.PRUNED)
        idle = idle + 1 if ledger.spent == before else 0
    return Replay([ledger.paid], 1e3 * float(np.median(times)))


def _study(problem: Table, method: Method, ledger: Ledger, seed: int) -> optuna.Study:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study = optuna.create_study(
            study_name="replay",
            directions=["minimize", "minimize"],
            sampler=method.sampler(ledger, seed),
            pruner=method.pruner(problem),
        )
        study.set_metric_names(["error", problem.cost_name])
    return study


def _train(trial: optuna.Trial, ledger: Ledger, cell: Cell) -> tuple[float, float] | None:
    """Train the cell of a trial; None where it is paused.

    One that is not to be paused needs no short training where that is another than the whole one.
    """
    steps, end = ledger.problem.steps, len(ledger.problem.steps) - 1
    noted = trial.storage.get_trial_system_attrs(trial._trial_id)
    through = THROUGH in noted and not ledger.problem.resumes
    alone = through or isinstance(trial.study.pruner, NopPruner)
    for rung in [end] if alone else range(end + 1):
        error, cost = ledger.train(cell, rung)
        report(trial, steps[rung], {"error": error, ledger.problem.cost_name: cost})
        if rung < end and should_prune(trial):
            return None
    return error, cost


def _cost_only(problem: Table, budget: float, seed: int) -> list[Payment]:
    """Look at costs, and train the largest cell of each bin of them."""
    assert problem.capacity is not None  # who calls it has looked
    cost, end, rng = problem.costs[:, -1], len(problem.steps) - 1, np.random.default_rng(seed)
    seen = rng.permutation(len(cost))[: int(LOOKED_AT * budget / LOOK)]
    bins = max(int(budget * (1 - LOOKED_AT)), 1)
    edges = np.linspace(cost[seen].min(), cost[seen].max(), bins + 1)
    place = np.clip(np.searchsorted(edges, cost[seen], side="right") - 1, 0, bins - 1)
    groups = [seen[place == k] for k in np.unique(place)]
    ledger = Ledger(problem)
    for row in seen:
        ledger.look(problem.cell(int(row)))
    for group in groups:
        ledger.train(problem.cell(int(group[problem.capacity[group].argmax()])), end)
    return ledger.paid
