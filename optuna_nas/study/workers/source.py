"""The study file beside its study, so that workers elsewhere run the same.

A study keeps the name, the digest and the text of the file that began it. The text is shown where
another file differs, and never run: a worker runs a file of its own machine, and only one whose
digest is the study's.
"""

from __future__ import annotations

import difflib
import hashlib
from pathlib import Path
from typing import Any

import optuna

from optuna_nas.exceptions import StudyError
from optuna_nas.study.storages.opening import masked

__all__ = ["find", "keep"]

SOURCE = "source"
"""User attribute of a study: its file, and how it was read."""
LINES = 30
"""Of a difference, at most."""


def keep(study: optuna.Study, file: Path, smoke: bool) -> None:
    """Note the file that describes the search of a study; passwords of URLs are left out.

    Args:
        study: The study, held to that search.
        file: The file.
        smoke: Whether the search is that of a run of seconds.
    """
    text = file.read_text()
    known = {"file": file.name, "sha256": _digest(text), "smoke": smoke, "text": masked(text)}
    if study.user_attrs.get(SOURCE) != known:
        study.set_user_attr(SOURCE, known)


def find(study: optuna.Study, file: Path | None) -> tuple[Path, bool]:
    """The file on this machine that describes the search of a study, and whether as smoke.

    Args:
        study: The study.
        file: Where it is; by default a file of the name in this directory.

    Raises:
        StudyError: It is not there, or is not the file of the study; shows how it differs.
    """
    known: dict[str, Any] | None = study.user_attrs.get(SOURCE)
    if known is None:
        if file is None:
            raise StudyError(
                f"expected study {study.study_name!r} to be begun by optuna-nas run, which notes "
                "its file, got one that a script began; give --file, which defines the search"
            )
        return file, False
    path = file or Path(Path(known["file"]).name)  # a name, in this directory: never elsewhere
    if not path.is_file():
        raise StudyError(
            f"expected the file of study {study.study_name!r} here, got no {path}; "
            "copy it to this machine, or give --file"
        )
    text = path.read_text()
    if _digest(text) != known["sha256"]:
        raise StudyError(
            f"expected {path} to be the file that study {study.study_name!r} is run with, but it "
            f"differs:\n{_difference(known['text'], masked(text), path)}\ncopy that file here, or "
            "give it to optuna-nas run, which accepts what leaves the search as it is"
        )
    return path, bool(known["smoke"])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _difference(stored: str, here: str, path: Path) -> str:
    lines = list(
        difflib.unified_diff(
            stored.splitlines(), here.splitlines(), "the study's", str(path), lineterm="", n=1
        )
    )
    more = [f"  ... {len(lines) - LINES} lines more"] if len(lines) > LINES else []
    return "\n".join(f"  {line}" for line in lines[:LINES]) + "\n".join(["", *more])
