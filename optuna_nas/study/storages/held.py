"""What a trial has that waits to be written, and how it gets into the tables of a database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages._rdb.models import (
    TrialParamModel,
    TrialSystemAttributeModel,
    TrialUserAttributeModel,
    TrialValueModel,
)
from sqlalchemy import delete, insert

from optuna_nas.study.storages.chunks import Pieces

__all__ = ["Held", "is_time"]

Rows = list[dict[str, Any]]


@dataclass
class Held:
    """What waits to be written of one trial.

    Args:
        params: Name -> value as Optuna stores it, and distribution.
        user: User attributes.
        system: System attributes.
    """

    params: dict[str, tuple[float, BaseDistribution]] = field(default_factory=dict)
    user: dict[str, Any] = field(default_factory=dict)
    system: dict[str, Any] = field(default_factory=dict)

    def put(
        self, session: Any, trial_id: int, cut: Pieces, values: Sequence[float] | None = None
    ) -> None:
        """Write it in the place of what has the same keys; a second time changes nothing.

        Args:
            session: Of the database, in a transaction.
            trial_id: The trial.
            cut: Key and value of an attribute -> those of the pieces to store it in.
            values: Values of the trial, which is about to end.
        """
        for model, key, rows in (*self._tables(cut), *_values(values or ())):
            if rows:
                keys = [row[key.key] for row in rows]
                session.execute(delete(model).where(model.trial_id == trial_id, key.in_(keys)))
                session.execute(insert(model), [{"trial_id": trial_id, **row} for row in rows])

    def _tables(self, cut: Pieces) -> Iterator[tuple[Any, Any, Rows]]:
        """Table, the column by which its rows are told apart, and rows."""
        yield (
            TrialParamModel,
            TrialParamModel.param_name,
            [
                {
                    "param_name": name,
                    "param_value": value,
                    "distribution_json": distribution_to_json(distribution),
                }
                for name, (value, distribution) in self.params.items()
            ],
        )
        for model, attrs in (
            (TrialUserAttributeModel, self.user),
            (TrialSystemAttributeModel, self.system),
        ):
            parts = chain.from_iterable(cut(key, value) for key, value in attrs.items())
            rows = [{"key": key, "value_json": json.dumps(part)} for key, part in parts]
            yield model, model.key, rows


def is_time(stored: datetime | None, now: datetime) -> bool:
    """Whether a time that was read is that which was written; MySQL keeps whole seconds."""
    if stored is None or stored.microsecond:
        return stored == now
    return abs((stored - now).total_seconds()) <= 1.0


def _values(values: Sequence[float]) -> Iterator[tuple[Any, Any, Rows]]:
    stored = map(TrialValueModel.value_to_stored_repr, values)
    rows = [
        {"objective": place, "value": value, "value_type": kind}
        for place, (value, kind) in enumerate(stored)
    ]
    yield TrialValueModel, TrialValueModel.objective, rows
