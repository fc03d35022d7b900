"""A finalist, and what its trainings came to."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna

from optuna_nas.finalists.cost import energy
from optuna_nas.finalists.finalist import Finalist
from optuna_nas.reporting.front import reached, totals
from optuna_nas.study import Search
from optuna_nas.study.record import Record

__all__ = ["MEASURED", "Retrained", "judge"]

MEASURED = "measured"
"""User attribute of a finalist's study: objective -> what was measured once."""


@dataclass(frozen=True)
class Retrained:
    """A finalist, and what its trainings came to.

    Args:
        finalist: The finalist.
        search: The search whose trials are its trainings.
        study: Its study.
        trained: Seed -> the record of a finished training.
        missing: Seed -> why there is none.
        measured: Objective -> what was measured once, on the device, for all trainings.
    """

    finalist: Finalist
    search: Search
    study: optuna.Study
    trained: Mapping[int, Record]
    missing: Mapping[int, str]
    measured: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def values(self, name: str) -> dict[int, float]:
        """An objective's values by seed; none of what is measured once."""
        measured = {s: record.measurements.get(name) for s, record in self.trained.items()}
        return {seed: found["value"] for seed, found in measured.items() if found is not None}

    def mean(self, name: str) -> float:
        """An objective's mean over the seeds; NaN where there is none."""
        values = self.values(name).values()
        if name in self.measured:
            return float(self.measured[name]["value"])
        return statistics.fmean(values) if values else math.nan

    def deviation(self, name: str) -> float:
        """An objective's standard deviation over the seeds; NaN for fewer than two."""
        values = self.values(name).values()
        return statistics.stdev(values) if len(values) > 1 else math.nan

    @property
    def digest(self) -> str:
        """Identity of the network; empty where nothing was trained."""
        return next((record.digest for record in self.trained.values()), "")

    @property
    def trainings(self) -> dict[str, str]:
        """Seed, as text -> identity of the training."""
        trials = self.study.get_trials(deepcopy=False)
        return {
            str(seed): trials[record.number].user_attrs["training"]
            for seed, record in self.trained.items()
        }

    @property
    def cost(self) -> dict[str, Any]:
        """Epochs of the trainings, each counted once; the seconds and joules that they took."""
        return {
            "epochs": sum(map(reached, self.trained.values())),
            "seconds": round(totals(self.study).seconds, 1),
            **energy(self.study),
        }

    @property
    def best(self) -> int | None:
        """The seed with the best first trained objective; None where nothing was trained."""
        if not self.trained:
            return None
        objective = self.search.optimised[judge(self.search)]
        sign = 1 if objective.direction == "maximize" else -1
        return max(self.trained, key=lambda s: sign * self.trained[s].values[objective.name])


def judge(search: Search) -> int:
    """Place of the objective that says how well a network was trained."""
    trained = [i for i, o in enumerate(search.optimised) if o.stage == "trained"]
    return trained[0] if trained else 0
