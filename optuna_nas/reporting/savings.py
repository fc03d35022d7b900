"""What pruning, rejection and reuse saved, as far as it can be estimated."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import NamedTuple

import optuna

from optuna_nas.reporting.front import totals
from optuna_nas.study.record import Record, records

__all__ = ["Saving", "savings"]

LABELS = {
    "pruned": "saved by pruning",
    "rejected": "saved by rejecting",
    "reused": "saved by reuse",
}


class Saving(NamedTuple):
    """Part of what full trainings of all networks would have taken.

    Args:
        kind: `spent`, or the outcome of the trials that were not trained in full.
        label: The same in words.
        trials: How many.
        epochs: Epochs spent, or not trained.
        seconds: Seconds spent, or estimated for these epochs; None where nothing tells.
        joules: The same for the energy of training, where its device counts that.
    """

    kind: str
    label: str
    trials: int
    epochs: int
    seconds: float | None
    joules: float | None = None


def savings(study: optuna.Study) -> list[Saving]:
    """What was spent, and what would have been besides if every network were trained in full.

    That is another search, and need not be what anybody would have run: a search without pruning
    would have tried fewer networks. Epochs are those of `Totals.saved`: a trial that was pruned
    or rejected saved the longest finished training less what it trained, one that was reused what
    the first training took. Seconds are these epochs at the median pace of the trials that were
    trained to the end, their measuring and setting up included; where small networks are pruned
    or large ones rejected, that is off by as much as their pace differs. A reused training saved
    the seconds of the first one less its own. Energy is that of trainings whose device counted
    it, and is estimated like seconds.

    Returns:
        What was spent first; of the others those that are not zero.
    """
    everything, spent = records(study), totals(study)
    counted = [record.joules for record in everything if record.joules is not None]
    energy = sum(counted) if counted else None
    parts = [Saving("spent", "spent", len(everything), spent.epochs, spent.seconds, energy)]
    for kind, label in LABELS.items():
        shown = [r for r in everything if _saved(r, kind) and not r.superseded]
        epochs = spent.saved[kind]
        if not epochs:
            continue
        if kind == "reused":
            firsts = [(everything[r.reused_from], r) for r in shown if r.reused_from is not None]
            seconds: float | None = sum(max(0.0, a.seconds - b.seconds) for a, b in firsts)
        else:
            seconds = _scaled(epochs, _pace(everything, "seconds"))
        joules = _scaled(epochs, _pace(everything, "joules"))
        parts.append(Saving(kind, label, len(shown), epochs, seconds, joules))
    return parts if spent.epochs or len(parts) > 1 else []


def _saved(record: Record, kind: str) -> bool:
    return record.reused_from is not None if kind == "reused" else record.outcome == kind


def _pace(everything: Iterable[Record], unit: str) -> float | None:
    """Seconds or joules an epoch, the median of the trials trained to the end without a break."""
    paces = [
        getattr(record, unit) / record.epochs
        for record in everything
        if record.outcome == "trained" and record.continues is None and record.epochs
        if getattr(record, unit) is not None
    ]
    return median(paces) if paces else None


def _scaled(epochs: int, pace: float | None) -> float | None:
    return None if pace is None else epochs * pace
