"""What the search cost."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
import plotly.graph_objects as go

from optuna_nas.reporting import style
from optuna_nas.reporting.savings import Saving, savings
from optuna_nas.reporting.text import duration

__all__ = ["plot_cost"]

COLOURS = {
    "spent": style.ACCENT,
    "pruned": "#d9903c",
    "rejected": "#cd5c5c",
    "reused": "#3f9f7f",
}


def plot_cost(study: optuna.Study) -> go.Figure:
    """Epochs and time spent, beside what full trainings of all networks would have taken.

    How that is estimated is told by `savings`.
    """
    return _plot_cost(savings(study))


def _plot_cost(info: Sequence[Saving]) -> go.Figure:
    drawn = style.figure(
        "Cost",
        style.axis("share of training all in full", tickformat=".0%", range=[0, 1]),
        style.axis("", type="category", autorange="reversed"),
    )
    if not info:
        return style.nothing(drawn, "nothing was trained yet")
    epochs = sum(part.epochs for part in info)
    timed = sum(part.seconds or 0.0 for part in info)
    for part in info:
        rows = [("epochs", part.epochs / epochs if epochs else 0.0, f"{part.epochs:,} epochs")]
        if part.seconds is not None and timed:
            rows.append(("time", part.seconds / timed, duration(part.seconds)))
        drawn.add_bar(
            x=[share for _, share, _ in rows],
            y=[name for name, _, _ in rows],
            text=[said for _, _, said in rows],
            name=part.label,
            orientation="h",
            marker={"color": COLOURS[part.kind]},
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            insidetextfont={"color": "#ffffff"},
            hovertemplate="%{text}, %{x:.0%}<extra>%{fullData.name}</extra>",
        )
    uniform = {"mode": "hide", "minsize": 11}
    return drawn.update_layout(barmode="stack", bargap=0.3, height=230, uniformtext=uniform)
