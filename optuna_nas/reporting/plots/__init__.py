"""Figures of a study, one a file; each computes a NamedTuple, then draws it.

    plot_front             the front with error bars, over everything else that was tried
    plot_finalists         finalists and baselines, all trained in full
    plot_cost              what was spent, and what pruning, rejection and reuse saved
    plot_hypervolume       hypervolume against the epochs spent
    plot_rungs             how many trials went on at each rung
    plot_learning_curves   one objective against the epochs of each trial, by bracket
    plot_preferences       which operators and sizes the front has, beside random networks
    plot_importances       how much each parameter matters to each objective

All take a study and return a `plotly.graph_objects.Figure`, as in `optuna.visualization`.
"""

from __future__ import annotations

from optuna_nas.reporting.plots.cost import plot_cost
from optuna_nas.reporting.plots.curves import plot_learning_curves
from optuna_nas.reporting.plots.finalists import plot_finalists
from optuna_nas.reporting.plots.front import plot_front
from optuna_nas.reporting.plots.hypervolume import plot_hypervolume
from optuna_nas.reporting.plots.importances import plot_importances
from optuna_nas.reporting.plots.preferences import plot_preferences
from optuna_nas.reporting.plots.rungs import plot_rungs

__all__ = [
    "plot_cost",
    "plot_finalists",
    "plot_front",
    "plot_hypervolume",
    "plot_importances",
    "plot_learning_curves",
    "plot_preferences",
    "plot_rungs",
]
