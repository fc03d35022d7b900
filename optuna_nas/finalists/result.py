"""What finalists came to, beside the baselines: values, a verdict, what makes it doubtful."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from scipy.stats import spearmanr

from optuna_nas.finalists.forms import Form
from optuna_nas.finalists.retrained import Retrained
from optuna_nas.finalists.sealed import Values
from optuna_nas.finalists.shared import rank_correlations
from optuna_nas.reporting.finalists import OURS, verdict
from optuna_nas.reporting.inheritance import Correlation
from optuna_nas.study import Search

__all__ = ["Final", "Finals"]

LOW = 0.5
"""Rank correlation of search and retraining below which the search's ranks say little."""


@dataclass(frozen=True)
class Final:
    """A finalist or baseline at the end.

    Args:
        retrained: It, and its trainings.
        tested: Its values on the test split, by seed; empty where there is none.
        forms: What it was exported as; empty for baselines.
        folder: Its folder; None for baselines.
        notes: What could not be done, and why.
        cost: What finding it cost: trials, epochs, seconds; empty for what was not searched for.
    """

    retrained: Retrained
    tested: Values
    forms: Sequence[Form] = ()
    folder: Path | None = None
    notes: Sequence[str] = ()
    cost: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self, names: Sequence[str]) -> dict[str, Any]:
        """`name, role, digest, values, test, cost, folder` and more, as JSON values.

        Args:
            names: The objectives.
        """
        retrained, finalist = self.retrained, self.retrained.finalist
        tested: dict[str, dict[int, float]] = {}
        for seed, values in self.tested.items():
            for name, value in values.items():
                tested.setdefault(name, {})[seed] = value
        records = retrained.trained.values()
        return {
            "name": finalist.name,
            "role": finalist.role,
            "digest": retrained.digest,
            "network": next((record.network for record in records), ""),
            "parameters": next((record.parameters for record in records), None),
            "searched": dict(finalist.searched),
            "values": {name: _summary(retrained.values(name)) for name in names}
            | {
                name: _once(retrained.measured[name])
                for name in names
                if name in retrained.measured
            },
            "test": {name: _summary(found) for name, found in tested.items()} or None,
            "cost": {**retrained.cost, "search": dict(self.cost)},
            "forms": [form.as_json() for form in self.forms],
            "trainings": retrained.trainings,
            "folder": None if self.folder is None else str(self.folder),
            "missing": {str(seed): why for seed, why in retrained.missing.items()},
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Finals:
    """All finalists and baselines of a search.

    Args:
        search: The search.
        study: Its study, which keeps what they came to.
        finals: The finalists, best first, then the baselines.
    """

    search: Search
    study: optuna.Study
    finals: Sequence[Final]

    @property
    def found(self) -> list[Final]:
        """Those of the front, and what was made of them."""
        return [f for f in self.finals if f.retrained.finalist.role in OURS]

    @property
    def others(self) -> list[Final]:
        """Those to compare with."""
        return [f for f in self.finals if f.retrained.finalist.role not in OURS]

    @property
    def correlation(self) -> float:
        """Spearman's correlation of search and retraining over the front; NaN below three.

        Of the objective that differs by training: the first such.
        """
        trained = [o.name for o in self.search.optimised if o.stage == "trained"]
        kept = [f.retrained for f in self.found if f.retrained.finalist.role == "front"]
        kept = [one for one in kept if one.trained]
        if not trained or len(kept) < 3:
            return math.nan
        searched = [one.finalist.searched[trained[0]] for one in kept]
        again = [one.mean(trained[0]) for one in kept]
        if len(set(searched)) == 1 or len(set(again)) == 1:
            return math.nan
        return float(spearmanr(searched, again).statistic)

    def inherited(self, name: str) -> list[Correlation]:
        """How far the order by inherited weights agrees with that of the networks trained.

        Args:
            name: Of what trained them.
        """
        names = [o.name for o in self.search.optimised if o.stage == "trained"]
        kept = [f.retrained for f in self.found if f.retrained.finalist.role == "front"]
        kept = [one for one in kept if one.trained]
        before = {one.digest: {n: one.finalist.searched[n] for n in names} for one in kept}
        after = {one.digest: {n: one.mean(n) for n in names} for one in kept}
        return rank_correlations(before, name, after)

    @property
    def verdict(self) -> str:
        """As `reporting.verdict`."""
        return verdict(self.study)

    @property
    def warnings(self) -> list[str]:
        """What makes the result doubtful."""
        found = [
            f"{final.retrained.finalist.name} is not trained with seed {seed}: {why}"
            for final in self.finals
            for seed, why in final.retrained.missing.items()
        ]
        if self.others and not any(f.retrained.finalist.role == "control" for f in self.others):
            found.append(
                "no network made by hand could be given the size of the best finalist: nothing "
                "here says what its size alone is worth"
            )
        if self.correlation < LOW:
            found.append(
                f"search and retraining order the finalists differently (Spearman "
                f"{self.correlation:.2f}): train longer in the search, or take more finalists"
            )
        return found

    def as_json(self) -> list[dict[str, Any]]:
        """Each final as JSON values."""
        names = [objective.name for objective in self.search.optimised]
        return [final.as_json(names) for final in self.finals]


def _summary(by_seed: Mapping[int, float]) -> dict[str, Any]:
    values = list(by_seed.values())
    return {
        "mean": statistics.fmean(values) if values else None,
        "deviation": statistics.stdev(values) if len(values) > 1 else None,
        "by_seed": {str(seed): value for seed, value in by_seed.items()},
    }


def _once(measured: Mapping[str, Any]) -> dict[str, Any]:
    spread = measured.get("spread")
    return {"mean": measured["value"], "deviation": None, "by_seed": {}, "spread": spread}
