"""What the finalists came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import optuna
import plotly.graph_objects as go

from optuna_nas.reporting import style
from optuna_nas.reporting.finalists import OURS, ROLES, finals
from optuna_nas.reporting.text import heading
from optuna_nas.study.record import objective_names, objective_units

__all__ = ["plot_finalists"]

TRAINED = "network"
SYMBOLS = ("circle", "diamond", "square", "triangle-up")


class _FinalistsInfo(NamedTuple):
    x: str
    y: str
    headings: Mapping[str, str]
    roles: Mapping[str, Sequence[Mapping[str, Any]]]


def plot_finalists(study: optuna.Study) -> go.Figure:
    """The first two objectives of finalists and baselines, all trained in full by one recipe.

    Error bars are standard deviations over seeds, or the spread of what was measured once. With
    one objective, networks stand beside each other.
    """
    return _plot_finalists(_get_finalists_info(study))


def _get_finalists_info(study: optuna.Study) -> _FinalistsInfo:
    names = objective_names(study)
    units = zip(names, objective_units(study), strict=True)
    x = names[1] if len(names) > 1 else TRAINED
    roles: dict[str, list[Mapping[str, Any]]] = {role: [] for role in ROLES}
    for row in finals(study):
        shown = [row["values"].get(name) for name in (x, names[0]) if name != TRAINED]
        if all(value is not None and value["mean"] is not None for value in shown):
            roles.setdefault(row["role"], []).append(row)
    headings = {name: heading(name, unit) for name, unit in units}
    return _FinalistsInfo(x, names[0], headings, {r: rows for r, rows in roles.items() if rows})


def _plot_finalists(info: _FinalistsInfo) -> go.Figure:
    drawn = style.figure(
        "Trained in full",
        style.axis(info.headings.get(info.x, "")),
        style.axis(info.headings[info.y]),
    )
    if not info.roles:
        return style.nothing(drawn, "no finalist was trained yet")
    for number, (role, rows) in enumerate(info.roles.items()):
        own = role in OURS
        drawn.add_scatter(
            name=style.escaped(ROLES.get(role, role)),
            mode="markers",
            x=[_value(row, info.x) for row in rows],
            y=[_value(row, info.y) for row in rows],
            error_x=_error_bar(rows, info.x),
            error_y=_error_bar(rows, info.y),
            text=[style.escaped(row["name"]) for row in rows],
            marker={
                "color": style.ACCENT if own else style.COLOURS["trained"],
                "symbol": SYMBOLS[number % len(SYMBOLS)],
                "size": 10,
            },
            hovertemplate="%{text}<br>%{x}, %{y}<extra>%{fullData.name}</extra>",
            showlegend=True,
        )
    return drawn


def _value(row: Mapping[str, Any], name: str) -> Any:
    return style.escaped(row["name"]) if name == TRAINED else row["values"][name]["mean"]


def _error_bar(rows: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    if name == TRAINED:
        return {"visible": False}
    known = [row["values"][name] for row in rows]
    # A spread is an interquartile range, so half of it lies on either side.
    half = [v["deviation"] or (v.get("spread") or 0.0) / 2 for v in known]
    return {"array": half, "visible": any(half), "thickness": 1.2, "width": 3}
