"""A study as it was at one moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import optuna
from optuna.study import StudyDirection

from optuna_nas.reporting.front import Totals, front, known_values, totals
from optuna_nas.reporting.inheritance import Supernet, supernet
from optuna_nas.reporting.text import with_spread
from optuna_nas.reporting.trust import headings
from optuna_nas.study.record import Record, records

__all__ = ["Cell", "Objective", "Row", "Seen", "cell", "row", "see"]


class Objective(NamedTuple):
    """An objective, with unit and direction."""

    name: str
    heading: str
    maximised: bool


class Cell(NamedTuple):
    """A number, and how it is written."""

    value: float | None
    text: str


class Row(NamedTuple):
    """A trial in a table."""

    record: Record
    on_front: bool
    values: list[Cell]
    parameters: Cell
    nodes: list[str]


class Seen(NamedTuple):
    """What all sections need.

    Args:
        study: The study.
        space: The space of its search, where it is known.
        everything: Its trials.
        found: Those of the front, best first.
        objectives: What it optimises.
        totals: What it did and spent.
        supernet: Whose weights its networks inherit, if they do.
    """

    study: optuna.Study
    space: Callable[[Any], Any] | None
    everything: Sequence[Record]
    found: Sequence[Record]
    objectives: Sequence[Objective]
    totals: Totals
    supernet: Supernet | None

    @property
    def sized(self) -> bool:
        """Whether the number of weights needs a column of its own, being no objective."""
        return all(objective.name != "parameters" for objective in self.objectives)


def see(study: optuna.Study, space: Callable[[Any], Any] | None) -> Seen:
    """Read a study that does not change any more."""
    everything = records(study)
    described = zip(headings(study, everything).items(), study.directions, strict=True)
    objectives = [
        Objective(name, title, direction == StudyDirection.MAXIMIZE)
        for (name, title), direction in described
    ]
    return Seen(study, space, everything, front(study), objectives, totals(study), supernet(study))


def row(record: Record, seen: Seen, on_front: bool) -> Row:
    """A trial with the values of its objectives that are known."""
    known = known_values(record, [objective.name for objective in seen.objectives])
    size = record.parameters
    return Row(
        record,
        on_front,
        [cell(known.get(o.name), record.spread(o.name)) for o in seen.objectives],
        cell(None if size is None else float(size), None),
        [*record.network.split(" > "), record.recipe],
    )


def cell(value: float | None, spread: float | None) -> Cell:
    """A number with its spread; empty where there is none."""
    return Cell(value, "" if value is None else with_spread(value, spread))
