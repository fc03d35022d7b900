"""How it went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from optuna_nas.reporting import plots
from optuna_nas.reporting.sections.figures import Embedded, embedded
from optuna_nas.reporting.sections.seen import Seen

__all__ = ["section"]


class _Part(NamedTuple):
    title: str
    text: str
    figure: Embedded


def section(seen: Seen) -> dict[str, Any]:
    """The course of the search, a figure for each part of it."""
    return {"parts": list(_parts(seen)) if seen.everything else []}


def _parts(seen: Seen) -> Iterator[_Part]:
    study = seen.study
    unit = "trials" if seen.supernet else "epochs spent"
    yield _Part(
        f"Hypervolume against {unit}",
        "How much of the space of trade-offs the front covers. The reference point is the worst "
        "value of each objective among the first ten complete trials.",
        embedded("hypervolume", "Hypervolume", plots.plot_hypervolume(study)),
    )
    if not seen.supernet:
        yield _Part(
            "Rung survival",
            "Trials that went on, and that were pruned, at each rung.",
            embedded("rungs", "Rung survival", plots.plot_rungs(study)),
        )
        yield _Part(
            "Learning curves",
            f"{seen.objectives[0].heading} at each epoch, by bracket where there are several: "
            "bracket 0 prunes earliest.",
            embedded("curves", "Learning curves", plots.plot_learning_curves(study)),
        )
    yield _Part(
        "What the front prefers",
        "Mean share among the nodes of a network, with its standard error, beside random networks "
        "of the space: drawn for this where the space is known, else the first trials.",
        embedded("preferences", "Preferences", plots.plot_preferences(study, seen.space)),
    )
    yield _Part(
        "Importance of parameters",
        "What the best tenth of the trials by each objective have in common, and others do not "
        "(PED-ANOVA). Of a parameter that not every network has, that counts too.",
        embedded("importances", "Importance of parameters", plots.plot_importances(study)),
    )
