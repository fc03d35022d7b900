"""Figures that follow from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from optuna_nas.study.record import Record

__all__ = ["Derived", "derived", "parts"]


class Derived(NamedTuple):
    """A figure with its unit."""

    value: float
    unit: str


def derived(record: Record) -> Mapping[str, Derived]:
    """What follows from the measurements of a network, where they were made.

    What weighted sums are made of, by its own name. `latency per accuracy`: the latency of one
    inference over the accuracy in points (hundredths), so less is better. `energy per inference`:
    as measured.
    """
    known = {name: m["value"] for name, m in record.measurements.items()} | dict(record.values)
    found = parts(record)
    if "latency" in known and known.get("accuracy", 0.0) > 0:
        measured = record.measurements.get("latency", {})
        one = known["latency"] / measured.get("batch", 1)
        unit = f"{measured.get('unit', 'ms')} per point"
        found["latency per accuracy"] = Derived(one / (100 * known["accuracy"]), unit)
    if "energy" in known:
        unit = record.measurements.get("energy", {}).get("unit", "mJ")
        found["energy per inference"] = Derived(known["energy"], unit)
    return found


def parts(record: Record) -> dict[str, Derived]:
    """What weighted sums of a network are made of, but for parameters, which have a place."""
    sums = [m["parts"] for m in record.measurements.values() if "parts" in m]
    names = dict.fromkeys(name for one in sums for name in one if name != "parameters")
    known = {name: record.measurements.get(name, {}) for name in names}
    return {
        name: Derived(measured["value"], measured["unit"])
        for name, measured in known.items()
        if "value" in measured
    }
