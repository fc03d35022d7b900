"""How many trials went on."""

from __future__ import annotations

from typing import NamedTuple

import optuna
import plotly.graph_objects as go

from optuna_nas.reporting import style
from optuna_nas.reporting.front import lineage_curve
from optuna_nas.study.record import records

__all__ = ["plot_rungs"]


class _RungsInfo(NamedTuple):
    steps: list[int]
    went_on: list[int]
    pruned: list[int]


def plot_rungs(study: optuna.Study) -> go.Figure:
    """How many trials went on and how many ended at each step at which any was pruned."""
    return _plot_rungs(_get_rungs_info(study))


def _get_rungs_info(study: optuna.Study) -> _RungsInfo:
    everything = records(study)
    ends = [
        (record.outcome, max(lineage_curve(record, everything), default=0))
        for record in everything
        if not record.superseded
    ]
    ended_at = [step for outcome, step in ends if outcome == "pruned" and step]
    steps = sorted(set(ended_at))
    went_on = [
        sum(last > step or (o == "trained" and last == step) for o, last in ends) for step in steps
    ]
    return _RungsInfo(steps, went_on, [ended_at.count(step) for step in steps])


def _plot_rungs(info: _RungsInfo) -> go.Figure:
    x = [f"epoch {step}" for step in info.steps]
    drawn = style.figure("Rung survival", style.axis("", type="category"), style.axis("trials"))
    if not x:
        return style.nothing(drawn, "no trial was pruned")
    for name, counts, colour, ink in (
        ("went on", info.went_on, style.ACCENT, "#ffffff"),
        ("pruned", info.pruned, "#d9903c", "#111111"),
    ):
        bar = go.Bar(x=x, y=counts, name=name, text=counts, hoverinfo="x+y+name")
        drawn.add_trace(bar.update(marker_color=colour, textfont_color=ink, textangle=0))
    drawn.update_layout(barmode="stack", bargap=0.35)
    return drawn
