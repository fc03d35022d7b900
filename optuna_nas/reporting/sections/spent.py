"""What it cost."""

from __future__ import annotations

from typing import Any

from optuna_nas.reporting.plots import plot_cost
from optuna_nas.reporting.savings import savings
from optuna_nas.reporting.sections.figures import embedded
from optuna_nas.reporting.sections.seen import Seen

__all__ = ["section"]


def section(seen: Seen) -> dict[str, Any]:
    """Epochs and seconds, spent and saved."""
    parts = savings(seen.study)
    full = sum(part.epochs for part in parts)
    return {
        "parts": parts,
        "full": full,
        "figure": embedded("cost", "Cost, spent and saved", plot_cost(seen.study)),
    }
