"""What a study carries for optuna-dashboard: plots of the whole, and notes and files of its front.

They are kept in the study's system attributes, where plain optuna-dashboard finds them. Samplers
and pruners read all of those attributes for every trial, so they must stay few: notes of other
trials are added by `optuna-nas dashboard` when they are looked at.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import optuna
import plotly.graph_objects as go
from optuna.trial import FrozenTrial
from optuna_dashboard._custom_plot_data import save_graph_object_json
from optuna_dashboard._note import note_ver_key, split_body

from optuna_nas.reporting import plots
from optuna_nas.reporting.artifacts import attach_architecture
from optuna_nas.reporting.front import front
from optuna_nas.reporting.notes import note
from optuna_nas.study import lease
from optuna_nas.study.record import objective_names, objective_units

__all__ = ["LIMIT", "PANELS", "Panels", "compact", "note_attributes"]

PANELS: tuple[tuple[str, Callable[[optuna.Study], go.Figure]], ...] = (
    ("front", plots.plot_front),
    ("hypervolume", plots.plot_hypervolume),
    ("learning-curves", plots.plot_learning_curves),
    ("rungs", plots.plot_rungs),
)
"""What is drawn: name -> figure of a study."""

LEASE = "nas:panels"
WRITTEN = "nas:panels:finished"
LIMIT = 64_000
"""Most characters of a panel."""
EVERY_SECONDS = 60.0
"""Least time between two refreshes while a study runs."""
GROWTH = 1.1
SHARE = 0.003
"""Most of the time of a run that refreshes take."""

_logger = logging.getLogger(__name__)


class Panels:
    """Keeps the panels of a study up to date while it runs; an Optuna callback.

    Of all workers of a study one at a time does this, the holder of a lease: once a minute at
    most, and only when the finished trials have grown by a tenth. What goes wrong is logged, and
    never ends the run.

    Args:
        clock: Seconds from any fixed moment.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = clock() + EVERY_SECONDS

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Refresh the panels, where it is time to."""
        if self._clock() >= self._next:
            self._refresh(study, GROWTH)

    def end(self, study: optuna.Study) -> None:
        """Bring the panels up to date, and leave them to other workers."""
        self._refresh(study, 1.0)
        try:
            lease.release(study, LEASE)
        except Exception as error:  # the run itself is done
            _logger.warning(f"could not give back the lease of the panels: {error}")

    def _refresh(self, study: optuna.Study, growth: float) -> None:
        started = self._clock()
        try:
            finished = sum(t.state.is_finished() for t in study.get_trials(deepcopy=False))
            before = study._storage.get_study_system_attrs(study._study_id).get(WRITTEN, 0)
            if finished > before and finished >= growth * before and lease.take(study, LEASE):
                write(study)
                study._storage.set_study_system_attr(study._study_id, WRITTEN, finished)
        except Exception as error:
            _logger.warning(f"could not draw the panels of {study.study_name!r}: {error}")
        took = self._clock() - started
        self._next = started + max(EVERY_SECONDS, took / SHARE)


def write(study: optuna.Study) -> None:
    """Draw all panels of a study anew, and give the trials of its front notes and files."""
    found = front(study)
    numbers = {record.number for record in found}
    for name, plot in PANELS:
        text = compact(plot(study), numbers)
        if text is not None:
            key = f"dashboard:plot_data:{name}:"
            save_graph_object_json(study._storage, study._study_id, key, text)
    units = dict(zip(objective_names(study), objective_units(study), strict=True))
    trials = study.get_trials(deepcopy=False)
    attrs = study._storage.get_study_system_attrs(study._study_id)
    for record in found:
        trial = trials[record.number]
        if note_ver_key(trial._trial_id) not in attrs:
            for key, value in note_attributes(trial, note(record, units)).items():
                study._storage.set_study_system_attr(study._study_id, key, value)
        attach_architecture(study, trial, attrs)


def note_attributes(trial: FrozenTrial, text: str) -> dict[str, Any]:
    """System attributes of a study that hold the note of one of its trials."""
    return {**split_body(text, trial._trial_id), note_ver_key(trial._trial_id): 1}


def compact(figure: go.Figure, kept: Collection[int]) -> str | None:
    """A figure as JSON of at most `LIMIT` characters, or None where it cannot be that short.

    Traces whose `customdata` are trial numbers lose those of every second trial, then of three
    in four, and so on; at last also those that shall be kept.

    Args:
        figure: The figure; it is changed.
        kept: Trials that are shown for as long as there is room.
    """
    text = str(figure.to_json())
    for wanted in (np.array(sorted(kept)), np.array([])):
        every = 1
        while len(text) > LIMIT and every < 64:
            every *= 2
            for trace in figure.data:
                _thin(trace, wanted, every)
            text = str(figure.to_json())
    return text if len(text) <= LIMIT else None


def _thin(trace: Any, wanted: np.ndarray[Any, Any], every: int) -> None:
    numbers = trace["customdata"] if "customdata" in trace else None
    if numbers is None or len(numbers) < 2 or np.ndim(numbers) > 1:
        return
    numbers = np.asarray(numbers)
    shown = np.isin(numbers, wanted) | (numbers % every == 0)
    shown[-1] = True
    for name in ("x", "y", "text", "customdata"):
        values = trace[name]
        if values is not None and not isinstance(values, str) and len(values) == len(numbers):
            trace[name] = np.asarray(values)[shown]
    for name in ("error_x", "error_y"):
        bars = trace[name]["array"] if name in trace else None
        if bars is not None and len(bars) == len(numbers):
            trace[name]["array"] = np.asarray(bars)[shown]
