"""Figures that follow from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from optuna_nas.study.record import Record

__all__ = ["Derived", "derived"]


class Derived(NamedTuple):
    """A figure with its unit."""

    value: float
    unit: str


def derived(record: Record) -> Mapping[str, Derived]:
    """What follows from the measurements of a network, where they were made.

    `latency per accuracy`: the latency of one inference over the accuracy in points (hundredths),
    so less is better. `energy per inference`: as measured.
    """
    known = {name: m["value"] for name, m in record.measurements.items()} | dict(record.values)
    found: dict[str, Derived] = {}
    if "latency" in known and known.get("accuracy", 0.0) > 0:
        measured = record.measurements.get("latency", {})
        one = known["latency"] / measured.get("batch", 1)
        unit = f"{measured.get('unit', 'ms')} per point"
        found["latency per accuracy"] = Derived(one / (100 * known["accuracy"]), unit)
    if "energy" in known:
        unit = record.measurements.get("energy", {}).get("unit", "mJ")
        found["energy per inference"] = Derived(known["energy"], unit)
    return found
