"""What a study says of the supernet that its networks inherit their weights from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import optuna

from optuna_nas.study.record import SUPERNET

__all__ = ["Correlation", "Supernet", "correlations", "doubt", "keep", "supernet"]

CORRELATIONS = "inheritance"
"""User attribute of a study: how its values agree with those of the same networks trained."""
LEAST = 0.5
"""Spearman's rank correlation under which the order by inherited weights says little."""


class Supernet(NamedTuple):
    """What the supernet of a study is, and cost.

    Args:
        weights: SHA-256 of its weights.
        epochs: Epochs of its training.
        seconds: Seconds of its training.
    """

    weights: str
    epochs: int
    seconds: float


class Correlation(NamedTuple):
    """How far values with inherited weights agree with those after training.

    Args:
        objective: Which values.
        against: Study of the same networks, trained.
        networks: How many.
        spearman: Spearman's rank correlation.
        kendall: Kendall's tau.
    """

    objective: str
    against: str
    networks: int
    spearman: float
    kendall: float


def supernet(study: optuna.Study) -> Supernet | None:
    """The supernet of a study whose networks inherit their weights; None of any other."""
    stored = study.user_attrs.get(SUPERNET)
    if stored is None:
        return None
    return Supernet(stored["weights"], int(stored["epochs"]), float(stored["seconds"]))


def correlations(study: optuna.Study) -> list[Correlation]:
    """How the values of a study agree with those after training, where that is known."""
    return [Correlation(**stored) for stored in study.user_attrs.get(CORRELATIONS, [])]


def keep(study: optuna.Study, found: Sequence[Correlation]) -> None:
    """Keep with a study how its values agree with others, in place of what was known of these."""
    others = {correlation.against for correlation in found}
    kept = [known for known in correlations(study) if known.against not in others]
    study.set_user_attr(CORRELATIONS, [known._asdict() for known in (*kept, *found)])


def doubt(found: Sequence[Correlation]) -> str:
    """What to beware of, in a sentence; empty where inherited weights order networks well."""
    weak = [known for known in found if known.spearman < LEAST]
    if not weak:
        return ""
    told = ", ".join(
        f"{w.spearman:.2f} for {w.objective} over the {w.networks} networks of {w.against}"
        for w in weak
    )
    return (
        "The order by inherited weights says little of that after training: Spearman's rank "
        f"correlation is {told}, under {LEAST}. Train the supernet longer, or more networks "
        "than those of the front"
    )
