"""How the values of a study were measured, gathered over its trials."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import optuna

from optuna_nas.reporting.text import heading, quantity
from optuna_nas.study.record import INHERITED, Record, objective_names, objective_units

__all__ = ["Measured", "Origin", "conditions", "headings", "measured", "origins", "unit_of"]

VALUE_KEYS = ("value", "unit", "spread")
SHOWN = 4


class Measured(NamedTuple):
    """How one quantity was measured.

    Args:
        name: Name of the quantity.
        unit: Its unit.
        trials: Trials in which it was measured.
        spread: Median over trials of spread divided by value; None where there is no spread.
        details: How it was measured, key -> text.
    """

    name: str
    unit: str
    trials: int
    spread: float | None
    details: dict[str, str]


class Origin(NamedTuple):
    """A machine and its software, and the trials that ran there."""

    trials: int
    device: dict[str, str]
    versions: dict[str, str]


def conditions(measurement: Mapping[str, Any]) -> str:
    """What a measured value belongs to, such as `eager, 1 thread`; empty where nothing says so."""
    batch, threads = measurement.get("batch", 1), measurement.get("threads")
    parts = [
        str(measurement.get("backend", "")),
        "" if threads is None else f"{threads} thread{'' if threads == 1 else 's'}",
        "" if batch == 1 else f"batch {batch}",
        measurement.get("precision", "fp32").removeprefix("fp32"),
        "inherited weights" if measurement.get("weights") == INHERITED else "",
    ]
    return ", ".join(filter(None, parts))


def unit_of(record: Record, name: str, unit: str) -> str:
    """Unit of a trial's value with what it belongs to, such as `ms (eager, 1 thread)`."""
    found = conditions(record.measurements.get(name, {}))
    return f"{unit} ({found})" if found else unit


def headings(study: optuna.Study, shown: Iterable[Record]) -> dict[str, str]:
    """Objective name -> name, unit and what its values belong to: `latency (ms, eager, 1 thread)`.

    Args:
        study: The study.
        shown: Its trials; the most frequent conditions count.
    """
    names, units = objective_names(study), objective_units(study)
    found: dict[str, Counter[str]] = {name: Counter() for name in names}
    for record in shown:
        for name in record.measurements.keys() & found.keys():
            found[name][conditions(record.measurements[name])] += 1
    most = {name: next((text for text, _ in c.most_common(1)), "") for name, c in found.items()}
    return {
        name: heading(name, ", ".join(filter(None, (unit, most[name]))))
        for name, unit in zip(names, units, strict=True)
    }


def measured(shown: Iterable[Record]) -> list[Measured]:
    """Every measured quantity, in the order in which quantities first appear."""
    gathered: dict[str, list[Mapping[str, Any]]] = {}
    for record in shown:
        for name, measurement in record.measurements.items():
            if record.reused_from is None:
                gathered.setdefault(name, []).append(measurement)
    return [_summary(name, found) for name, found in gathered.items()]


def origins(study: optuna.Study) -> list[Origin]:
    """The machines and library versions of a study, most trials first."""
    found = Counter(
        json.dumps([_texts(origin.get("device")), _texts(origin.get("versions"))])
        for trial in study.get_trials(deepcopy=False)
        if isinstance(origin := trial.user_attrs.get("provenance"), Mapping)
    )
    return [Origin(count, *json.loads(text)) for text, count in found.most_common()]


def _summary(name: str, found: Sequence[Mapping[str, Any]]) -> Measured:
    relative = [m["spread"] / abs(m["value"]) for m in found if m.get("spread") and m["value"]]
    keys = dict.fromkeys(k for m in found for k, v in m.items() if _told(k, v))
    details = {key: _distinct([m[key] for m in found if key in m]) for key in keys}
    spread = median(relative) if relative else None
    return Measured(name, str(found[0].get("unit", "")), len(found), spread, details)


def _told(key: str, value: Any) -> bool:
    """Whether a detail is told here; what is a table itself, such as a device, is elsewhere."""
    return key not in VALUE_KEYS and not isinstance(value, Mapping)


def _distinct(values: Sequence[Any]) -> str:
    """The values in few words: a share, a range, or the most frequent ones."""
    if all(isinstance(value, bool) for value in values):
        return f"{sum(values)} of {len(values)}"
    if all(isinstance(value, int | float) for value in values):
        low, high = min(values), max(values)
        return quantity(low) if low == high else f"{quantity(low)} to {quantity(high)}"
    texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
    common = [text for text, _ in Counter(texts).most_common()]
    return ", ".join(common[:SHOWN]) + (", ..." if len(common) > SHOWN else "")


def _texts(facts: Any) -> dict[str, str]:
    if isinstance(facts, Mapping):
        return {str(key): str(value) for key, value in facts.items()}
    return {} if facts is None else {"": str(facts)}
