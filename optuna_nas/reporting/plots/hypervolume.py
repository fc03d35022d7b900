"""How the front grew."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import optuna
import plotly.graph_objects as go

from optuna_nas.reporting import style
from optuna_nas.reporting.front import HypervolumeHistory, hypervolume_history
from optuna_nas.reporting.text import quantity
from optuna_nas.reporting.trust import headings
from optuna_nas.study.record import records

__all__ = ["plot_hypervolume"]


def plot_hypervolume(study: optuna.Study) -> go.Figure:
    """Hypervolume of the front against the epochs spent; see `hypervolume_history`.

    Against the trials where none trains, as with inherited weights.
    """
    return _plot_hypervolume(hypervolume_history(study), headings(study, records(study)))


def _plot_hypervolume(info: HypervolumeHistory, titles: Mapping[str, str]) -> go.Figure:
    by_trial = len(info.epochs) > 0 and info.epochs[0] == info.epochs[-1]
    unit, spent = ("trials", info.numbers + 1) if by_trial else ("epochs", info.epochs)
    drawn = style.figure(
        "Hypervolume",
        style.axis(f"{unit} spent", rangemode="tozero"),
        style.axis("hypervolume", rangemode="tozero"),
    )
    if not info.reference:
        return style.nothing(drawn, "no trial is complete yet")
    worst = ", ".join(f"{titles[name]} {quantity(v)}" for name, v in info.reference.items())
    lines = ("after trial %{customdata}", f"%{{x}} {unit}", "%{y:.4g}<extra></extra>")
    drawn.add_trace(
        go.Scatter(
            x=np.concatenate([[0], spent]),
            y=np.concatenate([[0.0], info.hypervolume]),
            customdata=np.concatenate([[-1], info.numbers]),
            mode="lines",
            line={"color": style.ACCENT, "width": 2, "shape": "hv"},
            fill="tozeroy",
            fillcolor=style.FILL,
            hovertemplate="<br>".join(lines),
            name=style.wrapped(f"reference point: {worst}", 44),
            showlegend=True,
        )
    )
    return drawn
