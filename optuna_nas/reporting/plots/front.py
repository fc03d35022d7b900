"""The front over everything else that was tried."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import optuna
import plotly.graph_objects as go
from optuna.study import StudyDirection

from optuna_nas.exceptions import DescriptionError
from optuna_nas.reporting import style
from optuna_nas.reporting.front import front, known_values
from optuna_nas.reporting.trust import headings
from optuna_nas.study.record import Record, objective_names, objective_units, records

__all__ = ["plot_front"]

TRIAL = "trial"
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
    untrained: _Group


def plot_front(study: optuna.Study, objectives: Sequence[str] | None = None) -> go.Figure:
    """The Pareto front over all other trials, one objective against another.

    Error bars are the spread of the measurements. Trials that were pruned or rejected are shown
    at their last values, where they have both; those rejected before they had a value on the
    vertical axis are ticks at the lower edge. A double click shows what lies far from the front.
    With one objective the axis below is the trial number; a third objective and more are in the
    hover text. A cost whose values span more than a factor of ten has a logarithmic axis.

    Args:
        study: The study.
        objectives: Names of two objectives, the vertical one first; by default the first two.

    Raises:
        DescriptionError: The study has no two objectives of these names.
    """
    return _plot_front(_get_front_info(study, objectives))


def _get_front_info(study: optuna.Study, objectives: Sequence[str] | None) -> _FrontInfo:
    names = objective_names(study)
    units = dict(zip(names, objective_units(study), strict=True))
    y_name, x_name = _axes(names, objectives)
    found, everything = front(study), records(study)
    on_front = {record.number for record in found}
    others: dict[str, list[Record]] = {"pruned": [], "rejected": [], "trained": []}
    for record in everything:
        kind = "trained" if record.values else record.outcome
        if kind in others and record.number not in on_front and not record.superseded:
            others[kind].append(record)
    minimised = (StudyDirection.MINIMIZE == d for d in study.directions)
    drawn = _group(found, x_name, y_name, units)
    placed = [record for record in found if record.number in set(drawn.numbers)]
    return _FrontInfo(
        x_name,
        y_name,
        headings(study, everything),
        frozenset(name for name, low in zip(names, minimised, strict=True) if low),
        len(names) == 2,
        drawn,
        [record.spread(x_name) or 0.0 for record in placed],
        [record.spread(y_name) or 0.0 for record in placed],
        {kind: _group(group, x_name, y_name, units) for kind, group in others.items()},
        _group(_without(others["rejected"], y_name, names), x_name, None, units),
    )


def _axes(names: Sequence[str], objectives: Sequence[str] | None) -> tuple[str, str]:
    """Names of the vertical and of the horizontal axis."""
    if objectives is None:
        return (names[0], names[1]) if len(names) > 1 else (names[0], TRIAL)
    if len(objectives) != 2 or not set(objectives) <= set(names):
        raise DescriptionError(f"expected two objectives among {names}, got {list(objectives)}")
    return objectives[0], objectives[1]


def _without(shown: Iterable[Record], name: str, names: Sequence[str]) -> list[Record]:
    return [record for record in shown if name not in known_values(record, names)]


def _group(
    shown: Iterable[Record], x_name: str, y_name: str | None, units: dict[str, str]
) -> _Group:
    """Trials that have a value on both axes, or on the horizontal one alone."""
    group = _Group([], [], [], [])
    for record in shown:
        known = known_values(record, list(units))
        point = {TRIAL: float(record.number), **known}
        if x_name in point and (y_name is None or y_name in point):
            group.x.append(point[x_name])
            group.y.append(0.0 if y_name is None else point[y_name])
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
    if info.untrained.x:
        _add_ticks(drawn, info.untrained)
    if not info.front.x:
        return drawn if drawn.data else style.nothing(drawn, "no trial is complete yet")
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


def _add_ticks(drawn: go.Figure, group: _Group) -> None:
    """Trials without a value on the vertical axis, at the lower edge however that is zoomed."""
    marker = {"color": style.COLOURS["rejected"], "symbol": "line-ns-open", "size": 9}
    name = "rejected untrained"
    drawn.add_trace(_scatter(group, name, mode="markers", marker=marker, yaxis="y2"))
    edge = {"overlaying": "y", "range": [0.0, 1.0], "visible": False, "fixedrange": True}
    drawn.update_layout(yaxis2=edge)


def _scatter(group: _Group, name: str, **options: Any) -> go.Scatter:
    return go.Scatter(
        x=np.array(group.x),
        y=np.array(group.y),
        text=group.text,
        customdata=np.array(group.numbers),
        name=name,
        hovertemplate="%{text}<extra></extra>",
        showlegend=True,
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
        groups = [info.front, *info.others.values()]
        groups += [info.untrained] if horizontal else []
        columns = [group.x if horizontal else group.y for group in groups]
        return style.cost_axis(title, [value for column in columns for value in column])
    return style.axis(title) if horizontal else style.axis(title, range=style.around(info.front.y))
