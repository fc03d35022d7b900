"""How the values of a study were measured, gathered over its trials."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import optuna

from optuna_nas.reporting.text import quantity
from optuna_nas.study.record import Record

__all__ = ["Measured", "Origin", "measured", "origins"]

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
        if (origin := trial.user_attrs.get("provenance"))
    )
    return [Origin(count, *json.loads(text)) for text, count in found.most_common()]


def _summary(name: str, found: Sequence[Mapping[str, Any]]) -> Measured:
    relative = [m["spread"] / abs(m["value"]) for m in found if m.get("spread") and m["value"]]
    keys = dict.fromkeys(key for m in found for key in m if key not in VALUE_KEYS)
    details = {key: _distinct([m[key] for m in found if key in m]) for key in keys}
    spread = median(relative) if relative else None
    return Measured(name, str(found[0].get("unit", "")), len(found), spread, details)


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
