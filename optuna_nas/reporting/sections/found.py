"""What was found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from optuna_nas.reporting.derived import derived
from optuna_nas.reporting.noise import tied
from optuna_nas.reporting.plots import plot_front
from optuna_nas.reporting.sections.figures import Embedded, embedded
from optuna_nas.reporting.sections.seen import Cell, Objective, Seen, cell, row
from optuna_nas.reporting.text import heading, quantity
from optuna_nas.study.record import Record

__all__ = ["section"]

PAIRS = 6
"""Pairs of objectives that are drawn; of more, the first objective against each other one."""


class _Tile(NamedTuple):
    label: str
    text: str
    note: str


def section(seen: Seen) -> dict[str, Any]:
    """The front: in a handful of numbers, drawn over all other trials, and as a table."""
    ties = tied(seen.found)
    return {
        "tiles": _tiles(seen),
        "figures": _figures(seen) if seen.everything else [],
        "rows": [row(record, seen, True) for record in seen.found],
        "ties": ties,
        "noisy": any(ties.values()),
        "derived": _derived(seen.found),
    }


def _tiles(seen: Seen) -> list[_Tile]:
    """The findings in a handful of numbers."""
    tiles = [_best(objective, seen.found) for objective in seen.objectives[:3] if seen.found]
    spent, tried = seen.totals, sum(seen.totals.counts.values())
    tiles.append(_Tile("networks on the front", str(len(seen.found)), f"of {tried} trials"))
    if seen.supernet is not None:
        return [
            *tiles,
            _Tile("epochs spent", f"{seen.supernet.epochs:,}", "on one supernet for all"),
        ]
    full = spent.epochs + sum(spent.saved.values())
    note = f"{100 * spent.epochs / full:.0f} % of training all in full" if full else ""
    return [*tiles, _Tile("epochs spent", f"{spent.epochs:,}", note)]


def _best(objective: Objective, found: Iterable[Record]) -> _Tile:
    pick = max if objective.maximised else min
    best = pick(found, key=lambda record: record.values[objective.name])
    label = f"{'highest' if objective.maximised else 'lowest'} {objective.heading}"
    return _Tile(label, quantity(best.values[objective.name]), f"trial {best.number}")


def _figures(seen: Seen) -> list[Embedded]:
    """The front by each pair of objectives."""
    if len(seen.objectives) < 3:
        return [embedded("front", "Pareto front", plot_front(seen.study))]
    names = [objective.name for objective in seen.objectives]
    pairs = list(combinations(names, 2))
    pairs = pairs if len(pairs) <= PAIRS else pairs[: len(names) - 1]
    return [
        embedded(f"front-{y}-{x}", f"Pareto front, {y} against {x}", plot_front(seen.study, pair))
        for pair in pairs
        for y, x in [pair]
    ]


def _derived(found: Sequence[Record]) -> dict[str, dict[int, Cell]]:
    """Heading of a derived figure -> trial number -> the figure, for a front."""
    columns: dict[str, dict[int, Cell]] = {}
    for record in found:
        for name, figure in derived(record).items():
            if figure.value not in record.values.values():  # else it has a column already
                cells = columns.setdefault(heading(name, figure.unit), {})
                cells[record.number] = cell(figure.value, None)
    return columns
