"""How the figures look: readable on white and on black, and on a phone."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from optuna_nas.reporting.text import one_line, short, with_spread
from optuna_nas.reporting.trust import unit_of
from optuna_nas.study.record import Record

__all__ = [
    "ACCENT",
    "COLOURS",
    "FILL",
    "around",
    "axis",
    "cost_axis",
    "escaped",
    "figure",
    "hover",
    "nothing",
    "wrapped",
]

ACCENT = "#3b82f6"
FILL = "rgba(59, 130, 246, 0.12)"
COLOURS = {
    "front": ACCENT,
    "trained": "rgba(125, 133, 144, 0.5)",
    "unfinished": "rgba(125, 133, 144, 0.35)",
    "pruned": "rgba(217, 144, 60, 0.6)",
    "rejected": "rgba(205, 92, 92, 0.6)",
}
TEXT = "#7d8590"
GRID = "rgba(125, 133, 144, 0.2)"


def figure(title: str, x: dict[str, Any], y: dict[str, Any]) -> go.Figure:
    """An empty figure with a title and two axes."""
    layout = {
        "title": {"text": escaped(title), "x": 0, "xref": "paper", "font": {"size": 16}},
        "xaxis": x,
        "yaxis": y,
        "paper_bgcolor": "rgba(0, 0, 0, 0)",
        "plot_bgcolor": "rgba(0, 0, 0, 0)",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": TEXT},
        "margin": {"l": 8, "r": 20, "t": 88, "b": 8},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1,
            "yanchor": "bottom",
            "traceorder": "normal",
        },
        "hoverlabel": {"align": "left", "font": {"family": "system-ui, sans-serif"}},
        "modebar": {"bgcolor": "rgba(0, 0, 0, 0)", "color": GRID, "activecolor": ACCENT},
        "hovermode": "closest",
        "template": "none",
    }
    return go.Figure(layout=layout)


def nothing(drawn: go.Figure, why: str) -> go.Figure:
    """A figure that says why it is empty."""
    drawn.update_layout(xaxis_visible=False, yaxis_visible=False)
    drawn.add_annotation(
        text=escaped(why), showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper"
    )
    return drawn


def axis(title: str, **options: Any) -> dict[str, Any]:
    """An axis with a title and quiet lines."""
    return {
        "title": {"text": escaped(title), "standoff": 12},
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "automargin": True,
        **options,
    }


def cost_axis(title: str, values: Sequence[float], **options: Any) -> dict[str, Any]:
    """An axis that is logarithmic where the values span more than a factor of ten."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    if not (low > 0 and high / low > 10):
        return axis(title, **options)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(decades) < 5 else (1,)
    ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
    texts = [short(tick) for tick in ticks]
    return axis(title, type="log", tickvals=ticks, ticktext=texts, **options)


def around(values: Sequence[float]) -> list[float] | None:
    """The part of an axis around the front, since what was pruned early lies far below it."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    span = high - low
    return [low - 0.4 * span, high + 0.1 * span] if span > 0 else None


def hover(record: Record, values: dict[str, float], units: dict[str, str]) -> str:
    """What a trial is, as the text of its hover label."""
    lines = [f"<b>trial {record.number}</b>, {escaped(record.outcome)}"]
    for name, value in values.items():
        shown = with_spread(value, record.spread(name))
        lines.append(escaped(f"{name} {shown} {unit_of(record, name, units.get(name, ''))}"))
    return "<br>".join([*lines, wrapped(record.line, 64)])


def wrapped(text: str, width: int) -> str:
    """Text on a few lines, of so many characters."""
    lines = textwrap.wrap(one_line([text]), width, max_lines=6, placeholder=" ...")
    return "<br>".join(map(escaped, lines))


def escaped(text: str) -> str:
    """Text that Plotly, which reads a subset of HTML, shows as it is."""
    return html.escape(text, quote=False)
