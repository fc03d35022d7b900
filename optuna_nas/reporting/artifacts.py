"""Files of trials that optuna-dashboard offers: pictures, architectures, exported networks.

They lie in `<name>.artifacts` beside the study's SQLite file, or in the working directory. Optuna
attaches files to running trials alone; the keys here are those by which optuna-dashboard itself
attaches them to finished ones.
"""

from __future__ import annotations

import json
import mimetypes
import tempfile
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.trial import FrozenTrial

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import NASError
from optuna_nas.reporting.diagrams import save_diagram
from optuna_nas.study.folder import folder_of

__all__ = ["artifact_store", "attach", "attach_architecture"]

DIAGRAM, ARCHITECTURE = "network.svg", "architecture.json"


def artifact_store(study: optuna.Study) -> FileSystemArtifactStore:
    """The store for the artifacts of a study; its folder is made."""
    beside = folder_of(True, study.study_name, study._storage)
    assert beside is not None
    folder = beside.with_suffix(".artifacts") if beside.suffix else beside / "artifacts"
    folder.mkdir(parents=True, exist_ok=True)
    return FileSystemArtifactStore(folder)


def attach(study: optuna.Study, trial: FrozenTrial, files: Iterable[Path]) -> None:
    """Keep files with a trial, finished or not; one of the same name is replaced."""
    store, storage = artifact_store(study), study._storage
    for file in files:
        mimetype, encoding = mimetypes.guess_type(file.name)
        found = {
            "artifact_id": str(uuid.uuid5(_namespace(study), f"{trial.number}/{file.name}")),
            "filename": file.name,
            "mimetype": mimetype or "application/octet-stream",
            "encoding": encoding,
        }
        with file.open("rb") as content:
            store.write(str(found["artifact_id"]), content)
        key = f"{_prefix(trial)}{found['artifact_id']}"
        storage.set_study_system_attr(study._study_id, key, json.dumps(found))


def attach_architecture(study: optuna.Study, trial: FrozenTrial, attrs: Mapping[str, Any]) -> bool:
    """Attach the graph of a trial as JSON, and as a picture where one can be drawn.

    Args:
        study: The study.
        trial: The trial; one of a module, or that has its files, is left as it is.
        attrs: System attributes of the study.

    Returns:
        Whether anything was attached.
    """
    graph = trial.user_attrs.get("architecture")
    if graph is None or any(key.startswith(_prefix(trial)) for key in attrs):
        return False
    with tempfile.TemporaryDirectory(prefix="optuna-nas-") as folder:
        text, picture = Path(folder, ARCHITECTURE), Path(folder, DIAGRAM)
        text.write_text(json.dumps(graph, indent=2))
        try:
            save_diagram(Architecture.from_json(graph), picture)
        except NASError:  # no matplotlib, or blocks that are not known here
            picture.unlink(missing_ok=True)
        attach(study, trial, [path for path in (picture, text) if path.exists()])
    return True


def _namespace(study: optuna.Study) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_URL, study.study_name)


def _prefix(trial: FrozenTrial) -> str:
    return f"dashboard:artifacts:{trial._trial_id}:"
