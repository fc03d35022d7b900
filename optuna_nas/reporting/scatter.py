"""A small plot of points as text, for terminals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text

from optuna_nas.reporting.text import short

__all__ = ["Axis", "scatter"]

GUTTER = 8
TRIED, FRONT = "·", "●"

Points = Sequence[tuple[float, float]]


class Axis(NamedTuple):
    """An axis of a plot.

    Args:
        title: What it shows.
        low: Its least value.
        high: Its greatest value.
        log: Whether it is logarithmic.
    """

    title: str
    low: float
    high: float
    log: bool = False

    @classmethod
    def around(cls, title: str, values: Sequence[float]) -> Axis:
        """An axis that holds some values; logarithmic where they span more than ten times."""
        low, high = min(values), max(values)
        if low > 0 and high > 10 * low:
            return cls(title, low, high, log=True)
        margin = 0.02 * (high - low) or 0.01 * abs(high) or 1.0
        return cls(title, low - margin, high + margin)

    def cell(self, value: float, cells: int) -> int:
        """In which of so many cells a value is; below 0, or `cells` and above, outside."""
        low, high = (math.log(v) if self.log else v for v in (self.low, self.high))
        if self.log and value <= 0:
            return -1
        place = ((math.log(value) if self.log else value) - low) / (high - low)
        return round(place * (cells - 1))


def scatter(
    tried: Points, front: Points, titles: tuple[str, str], width: int, height: int
) -> Text:
    """Points of a front over all others, as lines of characters.

    Args:
        tried: What is dimmed; only what is finite and in the range of the front is shown.
        front: What is marked, finite.
        titles: Of the horizontal and the vertical axis.
        width: Characters of a line.
        height: Lines, those of the axes among them; at least 4.
    """
    tried = [point for point in tried if all(map(math.isfinite, point))]
    shown = front if len(set(front)) > 1 else [*front, *tried]
    if not shown:
        return Text()
    x, y = (
        Axis.around(title, values)
        for title, values in zip(titles, zip(*shown, strict=True), strict=True)
    )
    columns, rows = max(2, width - GUTTER - 1), max(2, height - 3)
    cells = [[" "] * columns for _ in range(rows)]
    for mark, points in ((TRIED, tried), (FRONT, front)):
        for point in points:
            column, row = x.cell(point[0], columns), rows - 1 - y.cell(point[1], rows)
            if 0 <= column < columns and 0 <= row < rows:
                cells[row][column] = mark
    labels = [short(y.high), *[""] * (rows - 2), short(y.low)]
    text = Text(f"{y.title}\n", style="dim", no_wrap=True, overflow="crop")
    for label, line in zip(labels, cells, strict=True):
        text.append(f"{label:>{GUTTER}}│")
        for character in line:
            text.append(character, "not dim bold blue" if character == FRONT else "")
        text.append("\n")
    low, high = short(x.low), short(x.high)
    title = x.title.center(max(0, columns - len(low) - len(high)))
    text.append(f"{'':>{GUTTER}}└{'─' * columns}\n{'':>{GUTTER}} {low}{title}{high}")
    return text
