"""Whether it can be trusted."""

from __future__ import annotations

from typing import Any, NamedTuple

from optuna_nas.reporting.feasibility import feasibility
from optuna_nas.reporting.fidelities import agreements
from optuna_nas.reporting.finalists import finals, priced, summarised, verdict
from optuna_nas.reporting.inheritance import correlations, doubt
from optuna_nas.reporting.plots import plot_finalists
from optuna_nas.reporting.sections.figures import embedded
from optuna_nas.reporting.sections.seen import Seen
from optuna_nas.reporting.trust import measured, origins

__all__ = ["section"]


def section(seen: Seen) -> dict[str, Any]:
    """Baselines, rank correlations, quality of the measurements, use of the test split."""
    agreed = correlations(seen.study)
    return {
        "finalists": _finalists(seen),
        "correlations": agreed,
        "doubt": doubt(agreed),
        "agreements": agreements(seen.study),
        "remeasured": seen.study.user_attrs.get("remeasured"),
        "measured": measured(seen.everything),
        "feasibility": feasibility(seen.study),
        "origins": origins(seen.study),
        "tests": seen.study.user_attrs.get("test_use") or [],
    }


class _Final(NamedTuple):
    name: str
    role: str
    values: list[str]
    parameters: int | None
    cost: str


def _finalists(seen: Seen) -> dict[str, Any] | None:
    """Finalists beside baselines; None before there are any."""
    rows = finals(seen.study)
    if not rows:
        return None
    names = list(rows[0]["values"])
    tested = list(dict.fromkeys(name for row in rows for name in row["test"] or {}))
    return {
        "verdict": verdict(seen.study),
        "figure": embedded("finalists", "Finalists and baselines", plot_finalists(seen.study)),
        "columns": [*names, *(f"{name} (test)" for name in tested)],
        "rows": [
            _Final(
                row["name"],
                row["role"],
                [summarised(row["values"].get(name)) for name in names]
                + [summarised((row["test"] or {}).get(name)) for name in tested],
                row["parameters"],
                priced(row["cost"]),
            )
            for row in rows
        ],
    }
