"""Everything about each trial, as the browser shows and downloads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from optuna_nas.reporting.diagrams import svg
from optuna_nas.reporting.front import known_values, lineage_curve
from optuna_nas.reporting.graph import graph
from optuna_nas.reporting.measurements import how
from optuna_nas.reporting.sections.seen import Seen
from optuna_nas.reporting.text import finite, heading, with_spread
from optuna_nas.study.record import Record

__all__ = ["details"]

NODES = 300
"""Nodes drawn in diagrams, of all trials together: a diagram of 150 takes half a second."""
POINTS = 60
"""Points of a curve, about."""
TOLD = {
    "architecture",
    "continues",
    "digest",
    "ended",
    "estimator",
    "hyperparameters",
    "measurements",
    "network",
    "outcome",
    "provenance",
    "redrawn",
    "resumed",
    "reused_from",
    "spent",
    "training",
}
"""User attributes that the report tells otherwise, or that say nothing to people."""


def details(seen: Seen) -> list[dict[str, Any]]:
    """For each trial its text, values, measurements, curve, parameters and own user attributes.

    Networks of the front have diagrams, and others as long as there is room; matplotlib draws
    them, and without it there are none.
    """
    trials = seen.study.get_trials(deepcopy=False)
    pictures = dict(_diagrams(seen))
    names = [objective.name for objective in seen.objectives]
    on_front = {record.number for record in seen.found}
    return [
        {
            "number": record.number,
            "outcome": record.outcome,
            "front": record.number in on_front,
            "final": bool(record.values),
            "ended": record.ended,
            "network": record.network,
            "recipe": record.recipe,
            "digest": record.digest,
            "values": known_values(record, names),
            "epochs": record.epochs,
            "seconds": record.seconds,
            "continues": record.continues,
            "reused": record.reused_from,
            "measured": [_measured(name, m) for name, m in record.measurements.items()],
            "curve": _curve(record, seen.everything, names),
            "params": {name: _plain(v) for name, v in trials[record.number].params.items()},
            "attributes": {
                name: _text(value)
                for name, value in trials[record.number].user_attrs.items()
                if name not in TOLD
            },
            "diagram": pictures.get(record.number),
        }
        for record in seen.everything
    ]


def _measured(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": heading(name, found.get("unit", "")),
        "value": finite(found["value"]),
        "text": with_spread(found["value"], found.get("spread")),
        "how": how(found),
    }


def _curve(
    record: Record, everything: Sequence[Record], names: Sequence[str]
) -> dict[str, list[float | None]]:
    """Steps and values of the objectives that changed."""
    learned = lineage_curve(record, everything)
    steps = list(learned)[:: -max(1, len(learned) // POINTS)][::-1]
    columns = {name: [learned[step][name] for step in steps] for name in names}
    changing = {n: column for n, column in columns.items() if len(set(column)) > 1}
    shown = {n: [finite(float(f"{v:.5g}")) for v in col] for n, col in changing.items()}
    return {"step": [float(step) for step in steps], **shown} if shown else {}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) else _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _diagrams(seen: Seen) -> Iterator[tuple[int, str]]:
    """Trial number -> picture, those of the front first, equal networks drawn once."""
    if find_spec("matplotlib") is None:
        return
    drawn: dict[str, str] = {}
    left = NODES
    complete = [record for record in seen.everything if record.values]
    for number in dict.fromkeys(record.number for record in (*seen.found, *complete)):
        architecture = graph(seen.everything[number].architecture)
        if architecture is None:
            continue
        if architecture.digest not in drawn:
            left -= len(architecture.alive)
            if left < 0:
                return
            drawn[architecture.digest] = svg(architecture)
        yield number, drawn[architecture.digest]
