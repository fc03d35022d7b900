"""What the front prefers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import plotly.graph_objects as go

from optuna_nas.reporting import style
from optuna_nas.reporting.preferences import Preferences, preferences

__all__ = ["plot_preferences"]

ROW = 22
"""Height of a row, in pixels."""


def plot_preferences(study: optuna.Study, space: Callable[[Any], Any] | None = None) -> go.Figure:
    """Which operators, widths and other values networks of the front have, beside random ones.

    Dots are means over the front with their standard errors, bars those of random networks; see
    `preferences`.

    Args:
        study: The study.
        space: The space of its search, to draw random networks from; without it the first trials
            stand for them.
    """
    return _plot_preferences(preferences(study, space))


def _plot_preferences(info: Preferences) -> go.Figure:
    drawn = style.figure(
        "Preferences of the front",
        style.axis("share of a network's nodes", tickformat=".0%", rangemode="tozero"),
        style.axis("", autorange="reversed", type="category"),
    )
    if not info.rows:
        why = info.source if info.networks else "no trial is complete yet"
        return style.nothing(drawn, why)
    names = [style.escaped(f"{row.group} {row.value}") for row in info.rows]
    shown: dict[str, Any] = {"orientation": "h", "marker": {"color": style.COLOURS["trained"]}}
    hover = {"hovertemplate": "%{y}: %{x:.0%}<extra>%{fullData.name}</extra>"}
    drawn.add_bar(x=[row.random for row in info.rows], y=names, name=info.source, **shown, **hover)
    drawn.add_scatter(
        x=[row.front for row in info.rows],
        y=names,
        name=f"front, {info.networks} networks",
        mode="markers",
        cliponaxis=False,
        marker={"color": style.ACCENT, "size": 9},
        error_x={"array": [row.error for row in info.rows], "thickness": 1.2, "width": 3},
        **hover,
    )
    return drawn.update_layout(bargap=0.45, height=150 + ROW * len(names))
