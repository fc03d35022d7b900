"""How the trials learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import optuna
import plotly.graph_objects as go
from numpy.typing import NDArray

from optuna_nas.exceptions import DescriptionError
from optuna_nas.reporting import style
from optuna_nas.reporting.brackets import brackets
from optuna_nas.reporting.front import front, lineage_curve
from optuna_nas.reporting.trust import headings
from optuna_nas.study.record import objective_names, records

__all__ = ["plot_learning_curves"]

CURVE_POINTS = 50
OUTCOMES = ("unfinished", "pruned", "trained")
SHADES = ("#d9903c", "#8b6fc9", "#3f9f7f", "#c2557f", "#6b8e3d")
"""Of brackets, the most eager first."""


class _Group(NamedTuple):
    name: str
    colour: str
    curves: dict[int, dict[int, float]]


class _CurvesInfo(NamedTuple):
    heading: str
    groups: list[_Group]


def plot_learning_curves(study: optuna.Study, objective: str | None = None) -> go.Figure:
    """One objective, by default the first, against the epochs of every trial.

    Trials are coloured by their bracket of Hyperband, of which 0 prunes earliest, or by their
    outcome where there are no brackets; those of the front are on top.

    Raises:
        DescriptionError: The study has no objective of that name.
    """
    return _plot_learning_curves(_get_curves_info(study, objective))


def _get_curves_info(study: optuna.Study, objective: str | None) -> _CurvesInfo:
    names = objective_names(study)
    name = names[0] if objective is None else objective
    if name not in names:
        raise DescriptionError(f"expected an objective among {names}, got {objective!r}")
    everything = records(study)
    on_front = {record.number for record in front(study)}
    bracket = brackets(study, everything)
    groups = {kind: _Group(kind, colour, {}) for kind, colour in _colours(bracket).items()}
    for record in everything:
        learned = lineage_curve(record, everything)
        if record.superseded or not learned:
            continue
        kind = f"bracket {bracket[record.number]}" if bracket else record.outcome
        kind = "front" if record.number in on_front else kind if kind in groups else OUTCOMES[0]
        groups[kind].curves[record.number] = {step: at[name] for step, at in learned.items()}
    return _CurvesInfo(headings(study, everything)[name], list(groups.values()))


def _colours(bracket: Mapping[int, int]) -> dict[str, str]:
    """What curves are told apart by, and its colours, that of the front last."""
    others = {f"bracket {k}": SHADES[k % len(SHADES)] for k in sorted(set(bracket.values()))}
    others = others or {kind: style.COLOURS[kind] for kind in OUTCOMES}
    return {**others, "front": style.COLOURS["front"]}


def _plot_learning_curves(info: _CurvesInfo) -> go.Figure:
    drawn = style.figure("Learning curves", style.axis("epoch"), style.axis(info.heading))
    shown = [group for group in info.groups if group.curves]
    for group in shown:
        drawn.add_trace(_trace(group))
    return drawn if shown else style.nothing(drawn, "no trial has reported while it learned")


def _trace(group: _Group) -> go.Scatter:
    """All curves of a kind in one trace with gaps: a thousand traces would be slow to draw."""
    points = [
        point
        for number, curve in group.curves.items()
        for point in (*((s, v, number) for s, v in _thinned(curve)), (max(curve), np.nan, number))
    ]
    steps, values, numbers = np.array(points).T
    on_front = group.name == "front"
    return go.Scatter(
        x=_compact(steps),
        y=values.astype(np.float32),
        customdata=_compact(numbers),
        mode="lines+markers" if max(map(len, group.curves.values())) < 2 else "lines",
        line={"color": group.colour, "width": 2 if on_front else 1, "simplify": True},
        opacity=1.0 if on_front else 0.6,
        hovertemplate="trial %{customdata}<br>epoch %{x}: %{y:.4g}<extra></extra>",
        name=group.name,
        showlegend=True,
    )


def _thinned(curve: dict[int, float]) -> list[tuple[int, float]]:
    """At most about fifty points of a curve, the last one among them."""
    points = list(curve.items())
    return points[:: -max(1, len(points) // CURVE_POINTS)][::-1]


def _compact(numbers: NDArray[np.float64]) -> NDArray[Any]:
    return numbers.astype(np.min_scalar_type(int(numbers.max())))
