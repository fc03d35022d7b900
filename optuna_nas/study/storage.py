"""Opening the study of a search: create it, or resume it if it is still the same search."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from optuna_nas.exceptions import StudyError
from optuna_nas.measuring.device import fingerprint
from optuna_nas.study.description import differences
from optuna_nas.study.relational import Relational

__all__ = ["connect", "hold_to", "load", "mark", "masked", "staging"]


def connect(storage: str | BaseStorage) -> BaseStorage:
    """Open a storage given by its URL, as Optuna's command line does.

    Raises:
        StudyError: The URL is not one that Optuna knows, its driver is not installed, or nothing
            answers there. Passwords are left out of the message.
    """
    if isinstance(storage, RDBStorage):
        return Relational(storage)
    if isinstance(storage, BaseStorage):
        return storage
    try:
        return Relational(RDBStorage(storage))
    except ImportError as error:
        raise StudyError(
            f"the driver of {masked(storage)} is not installed: {error}; "
            f'pip install "optuna-nas[{_extra(storage)}]"'
        ) from error
    except (ValueError, ArgumentError) as error:
        raise StudyError(
            "expected a URL such as sqlite:///studies/name.db or "
            f"postgresql://user@host/database, got {masked(storage)}: {_first_line(error)}"
        ) from error
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise StudyError(
            f"cannot open the storage {masked(storage)}: {_first_line(error)}; "
            "see whether it is there, and may be read and written"
        ) from error


def load(name: str, storage: str | BaseStorage) -> optuna.Study:
    """Open an existing study to look at it.

    Raises:
        StudyError: There is none of that name.
    """
    opened = connect(storage)
    try:
        return optuna.load_study(study_name=name, storage=opened)
    except KeyError:
        known = ", ".join(sorted(optuna.get_all_study_names(opened))) or "none"
        raise StudyError(f"expected a study named {name!r}, got {known}; run it first") from None


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
    study.set_user_attr("device", fingerprint())
    study.set_user_attr("search", dict(described))


def staging(name: str) -> str:
    """Name of the study that holds the trials of another while they are measured anew."""
    return f"{name}@remeasuring"


def masked(text: str) -> str:
    """Text with the passwords of URLs in it replaced by stars."""
    return re.sub(r"(\w+://[^:/@\s]+):[^@\s]*@", r"\1:***@", text)


def _first_line(error: Exception) -> str:
    return masked(str(error).strip().splitlines()[0])


def _extra(url: str) -> str:
    return {"postgresql": "postgresql", "mysql": "mysql", "redis": "redis"}.get(
        re.split(r"[+:]", url)[0], "all"
    )
