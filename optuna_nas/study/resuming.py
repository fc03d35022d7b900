"""Opening the study of a search: create it, or resume it if it is still the same search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.storages import BaseStorage

from optuna_nas import __version__
from optuna_nas.exceptions import StudyError
from optuna_nas.measuring.device import fingerprint
from optuna_nas.study.description import differences
from optuna_nas.study.storages.opening import connect, working

__all__ = ["check_schema", "hold_to", "load", "mark", "staging"]

WRITTEN = "optuna_nas"
"""User attribute of a study: which version wrote its records, and their schema."""
SCHEMA = 1
"""Of records; those of studies that do not say are of the first."""


def load(name: str, storage: str | BaseStorage) -> optuna.Study:
    """Open an existing study to look at it.

    Raises:
        StudyError: There is none of that name.
    """
    opened = connect(storage)
    with working(storage):
        try:
            study = optuna.load_study(study_name=name, storage=opened)
        except KeyError:
            known = ", ".join(sorted(optuna.get_all_study_names(opened))) or "none"
            raise StudyError(
                f"expected a study named {name!r}, got {known}; run it first"
            ) from None
    check_schema(study)
    return study


def check_schema(study: optuna.Study) -> None:
    """Refuse a study that a later version of this package wrote.

    Raises:
        StudyError: Its records may mean something that is not known here.
    """
    written = study.user_attrs.get(WRITTEN, {"schema": SCHEMA})
    if written["schema"] > SCHEMA:
        raise StudyError(
            f"expected records of study {study.study_name!r} up to schema {SCHEMA}, got schema "
            f"{written['schema']}, written by optuna-nas {written['version']}; "
            f'pip install "optuna-nas>={written["version"]}"'
        )


def hold_to(study: optuna.Study, described: Mapping[str, Any], on_device: bool) -> None:
    """Hold a study to the search that began it; a study that nothing began is free.

    Args:
        study: The study to continue.
        described: Description of the search.
        on_device: Whether values of the search depend on the machine.

    Raises:
        StudyError: The search, or the machine it measures on, is another one; says what changed.
    """
    stored = study.user_attrs.get("search")
    if stored is None:
        if study.get_trials(deepcopy=False):
            raise StudyError(
                f"expected study {study.study_name!r} to be empty or begun by this search, got "
                "one with trials of something else; give the search another name"
            )
        return
    if changes := "\n  ".join(differences(stored, described)):
        raise StudyError(
            f"expected the search that study {study.study_name!r} was begun with, but it changed:"
            f"\n  {changes}\nundo the change, or give the search a new name"
        )
    moved = "\n  ".join(differences(study.user_attrs["device"], fingerprint(), "device"))
    if on_device and moved:
        raise StudyError(
            f"expected the device that study {study.study_name!r} was measured on, got another:"
            f"\n  {moved}\ngo on there, give the search a new name, or measure its trials anew "
            "here: optuna-nas run STUDY.py --remeasure, or search.run(remeasure=True)"
        )


def mark(study: optuna.Study, described: Mapping[str, Any]) -> None:
    """Mark a new study as a search's, begun on this device."""
    study.set_user_attr(WRITTEN, {"version": __version__, "schema": SCHEMA})
    study.set_user_attr("device", fingerprint())
    study.set_user_attr("search", dict(described))


def staging(name: str) -> str:
    """Name of the study that holds the trials of another while they are measured anew."""
    return f"{name}@remeasuring"
