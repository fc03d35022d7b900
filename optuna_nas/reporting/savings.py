"""What pruning, rejection and reuse saved, as far as it can be estimated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    """

    kind: str
    label: str
    trials: int
    epochs: int
    seconds: float | None


def savings(study: optuna.Study) -> list[Saving]:
    """What was spent, and what would have been besides if every network were trained in full.

    That is another search, and need not be what anybody would have run: a search without pruning
    would have tried fewer networks. Epochs are those of `Totals.saved`: a trial that was pruned
    or rejected saved the longest finished training less what it trained, one that was reused what
    the first training took. Seconds are these epochs at the median pace of the trials that were
    trained to the end, their measuring and setting up included; where small networks are pruned
    or large ones rejected, that is off by as much as their pace differs. A reused training saved
    the seconds of the first one less its own.

    Returns:
        What was spent first; of the others those that are not zero.
    """
    everything, spent = records(study), totals(study)
    pace = _pace(everything)
    kept = [Saving("spent", "spent", len(everything), spent.epochs, spent.seconds)]
    for kind, label in LABELS.items():
        shown = [r for r in everything if _saved(r, kind) and not r.superseded]
        seconds = None if pace is None else pace * spent.saved[kind]
        if kind == "reused":
            seconds = _reused(shown, everything)
        if spent.saved[kind]:
            kept.append(Saving(kind, label, len(shown), spent.saved[kind], seconds))
    return kept if spent.epochs or len(kept) > 1 else []


def _saved(record: Record, kind: str) -> bool:
    return record.reused_from is not None if kind == "reused" else record.outcome == kind


def _pace(everything: Iterable[Record]) -> float | None:
    """Seconds an epoch, the median of the trials trained to the end without a break."""
    paces = [
        record.seconds / record.epochs
        for record in everything
        if record.outcome == "trained" and record.continues is None and record.epochs
    ]
    return median(paces) if paces else None


def _reused(shown: Iterable[Record], everything: Sequence[Record]) -> float:
    return sum(
        max(0.0, everything[record.reused_from].seconds - record.seconds)
        for record in shown
        if record.reused_from is not None
    )
