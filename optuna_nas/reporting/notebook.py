"""The report of a study in a notebook."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import optuna

from optuna_nas.exceptions import StudyError
from optuna_nas.reporting import plots
from optuna_nas.reporting.finalists import finals
from optuna_nas.study.record import objective_names

__all__ = ["study_report"]


def study_report(study: optuna.Study, space: Callable[[Any], Any] | None = None) -> None:
    """Show all figures of a study in a notebook, one below the other.

    What cannot be drawn says why. Each figure can also be had by itself, as `plot_front(study)`.

    Args:
        study: The study, finished, running or empty.
        space: The space of its search, to draw random networks to compare the front with.

    Raises:
        StudyError: IPython, which every notebook has, is not installed.
    """
    try:
        from IPython.display import display
    except ImportError as error:
        raise StudyError(
            "expected a notebook, got a Python without IPython; call "
            "optuna_nas.reporting.write_report(study, 'report.html') instead"
        ) from error
    names = objective_names(study)
    pairs = combinations(names, 2) if len(names) > 1 else (None,)
    for pair in pairs:
        display(plots.plot_front(study, pair))
    if finals(study):
        display(plots.plot_finalists(study))
    for plot in (
        plots.plot_cost,
        plots.plot_hypervolume,
        plots.plot_rungs,
        plots.plot_learning_curves,
        plots.plot_importances,
    ):
        display(plot(study))
    display(plots.plot_preferences(study, space))
