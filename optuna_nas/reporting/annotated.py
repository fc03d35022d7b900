"""A storage as optuna-dashboard is shown it: with a note for each trial, and with constraints.

A thousand notes in the study itself would slow down every trial, since Optuna reads all system
attributes of a study at once. Here they are made when somebody looks.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Container
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from optuna_dashboard._note import note_ver_key

from optuna_nas.reporting.notes import note
from optuna_nas.reporting.panels import note_attributes
from optuna_nas.study.record import objective_names, objective_units, read

__all__ = ["NOTES", "annotated"]

NOTES = 1000
"""Latest trials that have a note: optuna-dashboard looks at each attribute for each trial."""


def annotated(storage: BaseStorage) -> BaseStorage:
    """The same storage, in which studies have notes, and trials their constraints as a list."""
    shown: BaseStorage = _Annotated(storage)
    return shown


def _delegate(name: str) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._storage, name)(*args, **kwargs)

    return call


_METHODS = [name for name, value in vars(BaseStorage).items() if callable(value)]
_Delegated: Any = type(
    "_Delegated",
    (BaseStorage,),
    {name: _delegate(name) for name in _METHODS if not name.startswith("__")},
)


# A class that was made by type() is of type Any, from which strict checkers let nothing inherit.
class _Annotated(_Delegated):  # type: ignore[misc]
    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage
        self._notes: dict[int, dict[str, Any]] = {}

    def get_all_studies(self) -> list[FrozenStudy]:
        studies: list[FrozenStudy] = self._storage.get_all_studies()
        for study in studies:
            if "search" in study.user_attrs:
                study.system_attrs = {**self._notes_of(study), **study.system_attrs}
        return studies

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        found: list[FrozenTrial] = self._storage.get_all_trials(study_id, deepcopy, states)
        return list(map(_with_constraints, found))

    def _notes_of(self, frozen: FrozenStudy) -> dict[str, Any]:
        study = optuna.load_study(study_name=frozen.study_name, storage=self._storage)
        names = objective_names(study)
        units = dict(zip(names, objective_units(study), strict=True))
        shown: dict[str, Any] = {}
        for trial in self._storage.get_all_trials(frozen._study_id, deepcopy=False)[-NOTES:]:
            if (
                not trial.state.is_finished()
                or note_ver_key(trial._trial_id) in frozen.system_attrs
            ):
                continue
            if trial._trial_id not in self._notes:
                text = note(read(trial, names), units)
                self._notes[trial._trial_id] = note_attributes(trial, text)
            shown |= self._notes[trial._trial_id]
        return shown


def _with_constraints(trial: FrozenTrial) -> FrozenTrial:
    """A trial with its constraints as optuna-dashboard reads them: a list, without names."""
    if not trial.constraints or "constraints" in trial.system_attrs:
        return trial
    shown = copy.copy(trial)
    shown.system_attrs = {**trial.system_attrs, "constraints": list(trial.constraints.values())}
    return shown
