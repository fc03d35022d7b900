"""MySQL and MariaDB: long attributes in pieces, since a text there holds 64 kB."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from optuna.storages import RDBStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial

__all__ = ["ChunkedStorage", "Pieces", "joined", "pieces", "whole"]

MARK = "nas:chunks"
LONGEST = 65_000
"""Bytes of JSON that are kept whole."""
PIECE = 30_000
"""Characters of a piece, each of which may be escaped."""

Pieces = Callable[[str, Any], Iterable[tuple[str, Any]]]
"""Key and value of an attribute -> those to store."""


def whole(key: str, value: Any) -> Iterable[tuple[str, Any]]:
    """An attribute as it is."""
    return ((key, value),)


def pieces(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Keys and values to store for an attribute: itself, or its pieces and then what joins them.

    Pieces are named by the digest of the whole, so that nobody joins those of two values.
    """
    text = json.dumps(value)
    if len(text) <= LONGEST:
        yield key, value
        return
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    names = [f"{MARK}:{key[:400]}:{digest}:{i}" for i in range(-(-len(text) // PIECE))]
    for i, name in enumerate(names):
        yield name, text[i * PIECE : (i + 1) * PIECE]
    yield key, {MARK: names}


def joined(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of which `pieces` are stored."""

    def one(value: Any) -> Any:
        if not (isinstance(value, dict) and MARK in value):
            return value
        return json.loads("".join(stored[name] for name in value[MARK]))

    return {k: one(v) for k, v in stored.items() if not k.startswith(f"{MARK}:")}


class ChunkedStorage(RDBStorage):
    """An `RDBStorage` whose attributes may be of any length."""

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        for name, piece in pieces(key, value):
            super().set_study_user_attr(study_id, name, piece)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        for name, piece in pieces(key, value):
            super().set_study_system_attr(study_id, name, piece)

    def _set_trial_attr_without_commit(
        self, session: Any, model_cls: Any, trial_id: int, key: str, value: Any
    ) -> None:
        for name, piece in pieces(key, value):
            super()._set_trial_attr_without_commit(session, model_cls, trial_id, name, piece)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return joined(super().get_study_user_attrs(study_id))

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return joined(super().get_study_system_attrs(study_id))

    def get_trial_user_attrs(self, trial_id: int) -> dict[str, Any]:
        return joined(super().get_trial_user_attrs(trial_id))

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        return joined(super().get_trial_system_attrs(trial_id))

    def get_all_studies(self) -> list[FrozenStudy]:
        studies = super().get_all_studies()
        for study in studies:
            study.user_attrs = joined(study.user_attrs)
            study.system_attrs = joined(study.system_attrs)
        return studies

    def _build_frozen_trial_from_trial_model(self, trial: Any) -> FrozenTrial:
        built = super()._build_frozen_trial_from_trial_model(trial)
        built.user_attrs, built.system_attrs = joined(built.user_attrs), joined(built.system_attrs)
        return built
