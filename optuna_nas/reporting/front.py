"""What a study found and what it cost, from storage alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.study import StudyDirection

from optuna_nas.reporting.archive import Archive, reference_point
from optuna_nas.reporting.derived import derived
from optuna_nas.reporting.inheritance import correlations, doubt, supernet
from optuna_nas.reporting.noise import tied
from optuna_nas.reporting.text import finite
from optuna_nas.study.record import (
    INHERITED,
    OUTCOMES,
    Record,
    objective_names,
    objective_units,
    records,
)

__all__ = [
    "HypervolumeHistory",
    "Totals",
    "front",
    "front_json",
    "hypervolume_history",
    "known_values",
    "lineage_curve",
    "reached",
    "reference_values",
    "status",
    "totals",
]


class HypervolumeHistory(NamedTuple):
    """Hypervolume after each trial, by trial number; never falls.

    Args:
        numbers: Trial numbers (N,).
        epochs: Epochs spent up to and with each trial, those of a supernet among them (N,).
        hypervolume: Dominated hypervolume after each trial (N,), in the product of the units.
        reference: Reference point, value by objective name; empty without a complete trial.
    """

    numbers: NDArray[np.int64]
    epochs: NDArray[np.int64]
    hypervolume: NDArray[np.float64]
    reference: Mapping[str, float]


@dataclass(frozen=True)
class Totals:
    """What a study did and spent.

    Args:
        counts: Trials by outcome; a trial taken up again counts once, by its last outcome.
        continued: Trials that a later one took up again.
        epochs: Epochs trained, by every trial.
        seconds: Seconds inside trials, summed.
        budget: Epochs of the longest finished training; 0 before there is one.
        saved: Epochs not trained, by what saved them (`pruned`, `rejected`, `reused`): `budget`
            for each such trial, less what it trained.
    """

    counts: Counter[str]
    continued: int
    epochs: int
    seconds: float
    budget: int
    saved: Mapping[str, int]


def front(study: optuna.Study) -> list[Record]:
    """Non-dominated trials, complete and feasible, sorted by the first objective, best first.

    A network counts once for each set of training hyperparameters that the space drew with it: of
    several such trials, a trained one is kept.
    """
    archive = Archive(study.directions)
    for record in _finished(records(study)):
        archive.add(record)
    return archive.front()


def front_json(study: optuna.Study) -> list[dict[str, Any]]:
    """The front as JSON values.

    `values`, `units`, `spread` and `backend` are by objective name; `tied_with` holds the numbers
    of the trials that the noise does not tell from this one. An infinite value, which JSON has
    not, is None.
    """
    names = objective_names(study)
    units = dict(zip(names, objective_units(study), strict=True))
    found = front(study)
    ties = tied(found)
    return [
        {
            "number": record.number,
            "digest": record.digest,
            "network": record.network,
            "hyperparameters": dict(record.hyperparameters),
            "architecture": record.architecture,
            "values": {name: finite(value) for name, value in record.values.items()},
            "units": units,
            "spread": {name: finite(record.spread(name)) for name in names},
            "backend": {name: record.measurements.get(name, {}).get("backend") for name in names},
            "tied_with": ties[record.number],
            "parameters": record.parameters,
            "weights": INHERITED if record.inherited else "trained",
            "derived": {
                name: {"value": finite(figure.value), "unit": figure.unit}
                for name, figure in derived(record).items()
            },
        }
        for record in found
    ]


def hypervolume_history(study: optuna.Study) -> HypervolumeHistory:
    """Hypervolume of the front against the epochs spent.

    The reference point is the worst value of each objective among the first ten complete trials
    (by number, with finite values), so it is a function of storage and, once ten trials are
    complete, fixed for the rest of the study.
    """
    everything = records(study)
    shared = supernet(study)
    begun = 0 if shared is None else shared.epochs
    archive = Archive(study.directions)
    reference = reference_point(archive.loss(r) for r in everything if r.values)
    counted = {record.number for record in _finished(everything)}
    volumes = [0.0]
    for record in everything:
        grown = record.number in counted and _finite(record) and archive.add(record)
        volumes.append(archive.hypervolume(reference) if grown else volumes[-1])
    return HypervolumeHistory(
        np.array([record.number for record in everything], dtype=np.int64),
        begun + np.cumsum([record.epochs for record in everything], dtype=np.int64),
        np.maximum.accumulate(volumes)[1:],
        reference_values(reference, study),
    )


def totals(study: optuna.Study) -> Totals:
    """Trials by outcome, epochs and seconds spent, epochs saved."""
    everything = records(study)
    last = [record for record in everything if not record.superseded]
    budget = max((reached(record) for record in last if record.values), default=0)
    saved = dict.fromkeys(("pruned", "rejected", "reused"), 0)
    for record in last:
        if record.outcome in ("pruned", "rejected"):
            saved[record.outcome] += max(0, budget - reached(record))
        elif record.reused_from is not None:
            saved["reused"] += reached(everything[record.reused_from])
    return Totals(
        counts=Counter(record.outcome for record in last),
        continued=len(everything) - len(last),
        epochs=sum(record.epochs for record in everything),
        seconds=sum(record.seconds for record in everything),
        budget=budget,
        saved=saved,
    )


def status(study: optuna.Study) -> dict[str, int | float | str]:
    """How far a study is, in JSON values: trials by outcome, front, hypervolume, cost.

    Where networks inherit their weights, also what the supernet cost, and what is to be doubted.
    """
    spent, history = totals(study), hypervolume_history(study)
    return {
        "trials": len(history.numbers),
        **{outcome: spent.counts[outcome] for outcome in OUTCOMES},
        "front": len(front(study)),
        "hypervolume": float(history.hypervolume[-1]) if len(history.hypervolume) else 0.0,
        "epochs": spent.epochs,
        "epochs_saved": sum(spent.saved.values()),
        "seconds": round(spent.seconds, 1),
        **_inherited(study),
    }


def reached(record: Record) -> int:
    """Epoch that a trial reached, counting what it inherited."""
    return max((record.resumed_at + record.epochs, *record.curve))


def known_values(record: Record, names: Sequence[str]) -> dict[str, float]:
    """What is known of a trial's objectives: final values, else the last reported, else measured.

    Only finite values are given.
    """
    measured = {n: record.measurements[n]["value"] for n in names if n in record.measurements}
    last = record.curve[max(record.curve)] if record.curve else {}
    known = record.values or {**measured, **last}
    return {name: known[name] for name in names if math.isfinite(known.get(name, math.nan))}


def lineage_curve(record: Record, everything: Sequence[Record]) -> dict[int, Mapping[str, float]]:
    """Learning curve of a trial with what it inherits from the trials it continues, by step."""
    merged = dict(record.curve)
    while record.continues is not None and record.continues < record.number:
        record = everything[record.continues]
        merged = {**record.curve, **merged}
    return dict(sorted(merged.items()))


def reference_values(reference: Sequence[float], study: optuna.Study) -> dict[str, float]:
    """A reference point of losses as values by objective name; empty where there is none."""
    names, directions = objective_names(study), study.directions
    return {
        name: -loss if direction == StudyDirection.MAXIMIZE else loss
        for name, direction, loss in zip(names, directions, reference, strict=False)
    }


def _inherited(study: optuna.Study) -> dict[str, int | float | str]:
    shared = supernet(study)
    if shared is None:
        return {}
    found: dict[str, int | float | str] = {
        "weights": INHERITED,
        "supernet_epochs": shared.epochs,
        "supernet_seconds": round(shared.seconds, 1),
    }
    doubted = doubt(correlations(study))
    return found | ({"doubt": doubted} if doubted else {})


def _finished(everything: Iterable[Record]) -> Iterator[Record]:
    """Complete, feasible trials that no later one continues."""
    return (r for r in everything if r.values and r.feasible and not r.superseded)


def _finite(record: Record) -> bool:
    return all(math.isfinite(value) for value in record.values.values())
