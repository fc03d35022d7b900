"""What matters."""

from __future__ import annotations

import optuna
import plotly.graph_objects as go

from optuna_nas.reporting import style
from optuna_nas.reporting.importances import FEWEST, Importances, importances

__all__ = ["plot_importances"]

SHOWN = 12
"""Parameters, those that matter most to any objective."""
ROW = 30
"""Height of a row, in pixels."""
COLOURS = (style.ACCENT, "#d9903c", "#3f9f7f", "#8b6fc9", "#c2557f")


def plot_importances(study: optuna.Study) -> go.Figure:
    """How much each parameter matters to each objective; see `importances`.

    The hover text says in how many networks a conditional parameter is.
    """
    return _plot_importances(importances(study))


def _plot_importances(info: Importances) -> go.Figure:
    drawn = style.figure(
        "Importance of parameters",
        style.axis("share of the importance", tickformat=".0%", rangemode="tozero"),
        style.axis("", autorange="reversed", type="category"),
    )
    if not info.shares:
        return style.nothing(drawn, f"{info.trials} complete trials, and {FEWEST} are needed")
    most = {name: max(shares[name] for shares in info.shares.values()) for name in info.present}
    names = sorted(most, key=lambda name: -most[name])[:SHOWN]
    present = [f"in {info.present[name]} of {info.trials} networks" for name in names]
    for number, (objective, shares) in enumerate(info.shares.items()):
        drawn.add_bar(
            x=[shares[name] for name in names],
            y=[style.escaped(name) for name in names],
            name=style.escaped(objective),
            orientation="h",
            marker={"color": COLOURS[number % len(COLOURS)]},
            text=present,
            textposition="none",
            hovertemplate="%{y}: %{x:.1%}<br>%{text}<extra>%{fullData.name}</extra>",
        )
    return drawn.update_layout(barmode="group", bargap=0.35, height=150 + ROW * len(names))
