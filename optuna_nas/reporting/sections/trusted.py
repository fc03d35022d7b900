"""Whether it can be trusted."""

from __future__ import annotations

from typing import Any

from optuna_nas.reporting.feasibility import feasibility
from optuna_nas.reporting.fidelities import agreements
from optuna_nas.reporting.inheritance import correlations, doubt
from optuna_nas.reporting.sections.seen import Seen
from optuna_nas.reporting.trust import measured, origins

__all__ = ["section"]


def section(seen: Seen) -> dict[str, Any]:
    """Baselines, rank correlations, quality of the measurements, use of the test split."""
    agreed = correlations(seen.study)
    return {
        "correlations": agreed,
        "doubt": doubt(agreed),
        "agreements": agreements(seen.study),
        "remeasured": seen.study.user_attrs.get("remeasured"),
        "measured": measured(seen.everything),
        "feasibility": feasibility(seen.study),
        "origins": origins(seen.study),
        "tests": seen.study.user_attrs.get("test_use") or [],
    }
