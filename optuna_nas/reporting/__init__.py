"""What a study found, what it cost and how it went, from storage alone.

    Study -> records -> front, hypervolume, totals -> table, live view, plots, dashboard
                                                   -> sections -> HTML

Nothing here needs the Search that made the study. Plotly is loaded when a figure is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from optuna_nas.reporting.front import (
    HypervolumeHistory,
    Totals,
    front,
    front_json,
    hypervolume_history,
    status,
    totals,
)
from optuna_nas.reporting.pace import pace

if TYPE_CHECKING:
    from optuna_nas.reporting.artifacts import attach
    from optuna_nas.reporting.dashboard import serve
    from optuna_nas.reporting.diagrams import diagram, save_diagram
    from optuna_nas.reporting.feasibility import feasibility_table
    from optuna_nas.reporting.finalists import finals, finals_table, verdict
    from optuna_nas.reporting.html import write_report
    from optuna_nas.reporting.live import LiveView
    from optuna_nas.reporting.measurements import measurements_table, remeasured_tables
    from optuna_nas.reporting.notebook import study_report
    from optuna_nas.reporting.panels import Panels
    from optuna_nas.reporting.plots import (
        plot_cost,
        plot_finalists,
        plot_front,
        plot_hypervolume,
        plot_importances,
        plot_learning_curves,
        plot_preferences,
        plot_rungs,
    )
    from optuna_nas.reporting.table import front_table, networks_table

_HOME = {
    "LiveView": "live",
    "Panels": "panels",
    "attach": "artifacts",
    "diagram": "diagrams",
    "feasibility_table": "feasibility",
    "finals": "finalists",
    "finals_table": "finalists",
    "front_table": "table",
    "measurements_table": "measurements",
    "networks_table": "table",
    "plot_cost": "plots",
    "plot_finalists": "plots",
    "plot_front": "plots",
    "plot_hypervolume": "plots",
    "plot_importances": "plots",
    "plot_learning_curves": "plots",
    "plot_preferences": "plots",
    "plot_rungs": "plots",
    "remeasured_tables": "measurements",
    "save_diagram": "diagrams",
    "serve": "dashboard",
    "study_report": "notebook",
    "verdict": "finalists",
    "write_report": "html",
}

__all__ = [
    "HypervolumeHistory",
    "LiveView",
    "Panels",
    "Totals",
    "attach",
    "diagram",
    "feasibility_table",
    "finals",
    "finals_table",
    "front",
    "front_json",
    "front_table",
    "hypervolume_history",
    "measurements_table",
    "networks_table",
    "pace",
    "plot_cost",
    "plot_finalists",
    "plot_front",
    "plot_hypervolume",
    "plot_importances",
    "plot_learning_curves",
    "plot_preferences",
    "plot_rungs",
    "remeasured_tables",
    "save_diagram",
    "serve",
    "status",
    "study_report",
    "totals",
    "verdict",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
