"""Figures of a study; each computes a NamedTuple, then draws it, as in `optuna.visualization`.

plot_front             the front with error bars, over everything else that was tried
plot_hypervolume       hypervolume against the epochs spent
plot_learning_curves   one objective against the epochs of each trial
plot_rungs             how many trials went on at each rung
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import optuna
import plotly.graph_objects as go
from numpy.typing import NDArray
from optuna.study import StudyDirection

from optuna_nas.exceptions import DescriptionError
from optuna_nas.reporting import style
from optuna_nas.reporting.front import (
    HypervolumeHistory,
    front,
    hypervolume_history,
    known_values,
    lineage_curve,
)
from optuna_nas.reporting.text import quantity
from optuna_nas.reporting.trust import headings
from optuna_nas.study.record import Record, objective_names, objective_units, records

__all__ = ["plot_front", "plot_hypervolume", "plot_learning_curves", "plot_rungs"]

TRIAL = "trial"
CURVE_POINTS = 50
NAMES = {"trained": "dominated"}
SYMBOLS = {"trained": "circle", "pruned": "circle-open", "rejected": "x-thin-open"}


class _Group(NamedTuple):
    x: list[float]
    y: list[float]
    text: list[str]
    numbers: list[int]


class _FrontInfo(NamedTuple):
    x_name: str
    y_name: str
    headings: dict[str, str]
    minimised: frozenset[str]
    two_objectives: bool
    front: _Group
    x_spread: list[float]
    y_spread: list[float]
    others: dict[str, _Group]


class _CurvesInfo(NamedTuple):
    heading: str
    curves: dict[str, dict[int, dict[int, float]]]


class _RungsInfo(NamedTuple):
    steps: list[int]
    went_on: list[int]
    pruned: list[int]


def plot_front(study: optuna.Study) -> go.Figure:
    """The Pareto front over all other trials, the first objective against the second.

    Error bars are the spread of the measurements. Trials that were pruned or rejected are shown
    at their last values, where they have both; a double click shows those far from the front.
    With one objective the axis below is the trial number; a third objective and more are in the
    hover text. A cost whose values span more than a factor of ten has a logarithmic axis.
    """
    return _plot_front(_get_front_info(study))


def plot_hypervolume(study: optuna.Study) -> go.Figure:
    """Hypervolume of the front against the epochs spent; see `hypervolume_history`.

    Against the trials where none trains, as with inherited weights.
    """
    return _plot_hypervolume(hypervolume_history(study), headings(study, records(study)))


def plot_learning_curves(study: optuna.Study, objective: str | None = None) -> go.Figure:
    """One objective, by default the first, against the epochs of every trial.

    Raises:
        DescriptionError: The study has no objective of that name.
    """
    return _plot_learning_curves(_get_curves_info(study, objective))


def plot_rungs(study: optuna.Study) -> go.Figure:
    """How many trials went on and how many ended at each step at which any was pruned."""
    return _plot_rungs(_get_rungs_info(study))


def _get_front_info(study: optuna.Study) -> _FrontInfo:
    names = objective_names(study)
    units = dict(zip(names, objective_units(study), strict=True))
    found, everything = front(study), records(study)
    on_front = {record.number for record in found}
    x_name, y_name = (names[1], names[0]) if len(names) > 1 else (TRIAL, names[0])
    others: dict[str, list[Record]] = {"pruned": [], "rejected": [], "trained": []}
    for record in everything:
        kind = "trained" if record.values else record.outcome
        if kind in others and record.number not in on_front and not record.superseded:
            others[kind].append(record)
    minimised = (StudyDirection.MINIMIZE == d for d in study.directions)
    drawn = _group(found, x_name, y_name, units)
    return _FrontInfo(
        x_name,
        y_name,
        headings(study, everything),
        frozenset(name for name, low in zip(names, minimised, strict=True) if low),
        len(names) == 2,
        drawn,
        [record.spread(x_name) or 0.0 for record in found if record.number in drawn.numbers],
        [record.spread(y_name) or 0.0 for record in found if record.number in drawn.numbers],
        {kind: _group(group, x_name, y_name, units) for kind, group in others.items()},
    )


def _group(shown: Sequence[Record], x_name: str, y_name: str, units: dict[str, str]) -> _Group:
    group = _Group([], [], [], [])
    for record in shown:
        known = known_values(record, list(units))
        point = {TRIAL: float(record.number), **known}
        if x_name in point and y_name in point:
            group.x.append(point[x_name])
            group.y.append(point[y_name])
            group.text.append(style.hover(record, known, units))
            group.numbers.append(record.number)
    return group


def _plot_front(info: _FrontInfo) -> go.Figure:
    drawn = style.figure(
        "Pareto front", _front_axis(info, info.x_name), _front_axis(info, info.y_name)
    )
    for kind, group in info.others.items():
        if group.x:
            marker = {"color": style.COLOURS[kind], "symbol": SYMBOLS[kind], "size": 7}
            drawn.add_trace(_scatter(group, NAMES.get(kind, kind), mode="markers", marker=marker))
    drawn.add_trace(
        _scatter(
            info.front,
            "front",
            mode="lines+markers" if info.two_objectives else "markers",
            line={"color": style.ACCENT, "width": 1.5, "shape": "hv"},
            marker={"color": style.ACCENT, "size": 10, "line": {"color": "white", "width": 1.5}},
            error_x=_error_bar(info.x_spread),
            error_y=_error_bar(info.y_spread),
        )
    )
    return drawn


def _scatter(group: _Group, name: str, **options: Any) -> go.Scatter:
    return go.Scatter(
        x=np.array(group.x),
        y=np.array(group.y),
        text=group.text,
        customdata=np.array(group.numbers),
        name=name,
        hovertemplate="%{text}<extra></extra>",
        **options,
    )


def _error_bar(spread: Sequence[float]) -> dict[str, Any]:
    # A spread is an interquartile range, so half of it lies on either side.
    half = [width / 2 for width in spread]
    return {"array": half, "visible": any(half), "thickness": 1.2, "width": 3}


def _front_axis(info: _FrontInfo, name: str) -> dict[str, Any]:
    title = info.headings.get(name, name)
    horizontal = name == info.x_name
    if name in info.minimised:
        groups = (info.front, *info.others.values())
        columns = [group.x if horizontal else group.y for group in groups]
        return style.cost_axis(title, [value for column in columns for value in column])
    return style.axis(title) if horizontal else style.axis(title, range=style.around(info.front.y))


def _plot_hypervolume(info: HypervolumeHistory, titles: Mapping[str, str]) -> go.Figure:
    worst = ", ".join(f"{titles[name]} {quantity(v)}" for name, v in info.reference.items())
    y_axis = style.axis("hypervolume", rangemode="tozero")
    by_trial = len(info.epochs) > 0 and info.epochs[0] == info.epochs[-1]
    unit, spent = ("trials", info.numbers + 1) if by_trial else ("epochs", info.epochs)
    drawn = style.figure("Hypervolume", style.axis(f"{unit} spent", rangemode="tozero"), y_axis)
    drawn.add_trace(
        go.Scatter(
            x=np.concatenate([[0], spent]),
            y=np.concatenate([[0.0], info.hypervolume]),
            customdata=np.concatenate([[-1], info.numbers]),
            mode="lines",
            line={"color": style.ACCENT, "width": 2, "shape": "hv"},
            fill="tozeroy",
            fillcolor=style.FILL,
            hovertemplate="<br>".join(
                ("after trial %{customdata}", f"%{{x}} {unit}", "%{y:.4g}<extra></extra>")
            ),
            name=f"reference point: {worst}",
        )
    )
    return drawn


def _get_curves_info(study: optuna.Study, objective: str | None) -> _CurvesInfo:
    names = objective_names(study)
    name = names[0] if objective is None else objective
    if name not in names:
        raise DescriptionError(f"expected an objective among {names}, got {objective!r}")
    on_front = {record.number for record in front(study)}
    everything = records(study)
    kinds = ("unfinished", "pruned", "trained", "front")
    curves: dict[str, dict[int, dict[int, float]]] = {kind: {} for kind in kinds}
    for record in everything:
        kind = "front" if record.number in on_front else record.outcome
        learned = lineage_curve(record, everything)
        if not record.superseded and learned:
            values = {step: at[name] for step, at in learned.items()}
            curves[kind if kind in curves else "unfinished"][record.number] = values
    return _CurvesInfo(headings(study, everything)[name], curves)


def _plot_learning_curves(info: _CurvesInfo) -> go.Figure:
    y_axis = style.axis(info.heading)
    drawn = style.figure("Learning curves", style.axis("epoch"), y_axis)
    for kind, curves in info.curves.items():
        if curves:
            drawn.add_trace(_curves_trace(kind, curves))
    return drawn


def _curves_trace(kind: str, curves: dict[int, dict[int, float]]) -> go.Scatter:
    """All curves of a kind in one trace with gaps: a thousand traces would be slow to draw."""
    points = [
        point
        for number, curve in curves.items()
        for point in (*((s, v, number) for s, v in _thinned(curve)), (max(curve), np.nan, number))
    ]
    steps, values, numbers = np.array(points).T
    return go.Scatter(
        x=_compact(steps),
        y=values.astype(np.float32),
        customdata=_compact(numbers),
        mode="lines+markers" if max(map(len, curves.values())) < 2 else "lines",
        line={"color": style.COLOURS[kind], "width": 2 if kind == "front" else 1},
        hovertemplate="trial %{customdata}<br>epoch %{x}: %{y:.4g}<extra></extra>",
        name=kind,
    )


def _thinned(curve: dict[int, float]) -> list[tuple[int, float]]:
    """At most about fifty points of a curve, the last one among them."""
    points = list(curve.items())
    return points[:: -max(1, len(points) // CURVE_POINTS)][::-1]


def _compact(numbers: NDArray[np.float64]) -> NDArray[Any]:
    return numbers.astype(np.min_scalar_type(int(numbers.max())))


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
    for name, counts, colour, ink in (
        ("went on", info.went_on, style.ACCENT, "#ffffff"),
        ("pruned", info.pruned, "#d9903c", "#111111"),
    ):
        bar = go.Bar(x=x, y=counts, name=name, text=counts, hoverinfo="x+y+name")
        drawn.add_trace(bar.update(marker_color=colour, textfont_color=ink, textangle=0))
    drawn.update_layout(barmode="stack", bargap=0.35)
    return drawn
