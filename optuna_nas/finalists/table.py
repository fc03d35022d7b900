"""Finalists and baselines as a table and as a plot, from what `Finals.as_json` left in storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from optuna_nas.reporting.style import escaped
from optuna_nas.reporting.text import quantity, with_spread

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["finals_table", "plot_finalists"]

Found = Sequence[Mapping[str, Any]]

ROLES = {
    "front": "finalists",
    "tuned": "tuned",
    "distilled": "taught by a finalist",
    "pruned": "pruned",
    "random search": "found by random search",
    "average": "random networks of the space",
    "control": "by hand, of equal size",
    "reference": "by hand",
}


def finals_table(found: Found) -> Table:
    """One row each: means and deviations over seeds on validation and test, size, cost.

    What was measured once has the spread of its measurement.
    """
    names = list(found[0]["values"]) if found else []
    tested = list(dict.fromkeys(n for final in found for n in final["test"] or {}))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("network", overflow="fold")
    for name in names:
        table.add_column(Text(name), justify="right", overflow="fold")
    for name in tested:
        table.add_column(Text(f"{name}\n(test)"), justify="right", overflow="fold")
    if "parameters" not in names:
        table.add_column("parameters", justify="right")
    table.add_column("epochs", justify="right")
    role = None
    for final in found:
        if final["role"] != role and role is not None:
            table.add_section()
        role = final["role"]
        cells = [_cell(final["values"][name]) for name in names]
        cells += [_cell((final["test"] or {}).get(name)) for name in tested]
        if "parameters" not in names:
            size = final["parameters"]
            cells.append("" if size is None else quantity(size))
        cells.append(str(final["cost"]["epochs"]))
        table.add_row(Text(final["name"]), *map(Text, cells))
    return table


def plot_finalists(found: Found, units: Mapping[str, str]) -> go.Figure:
    """The first two objectives of finalists and baselines, with deviations over seeds.

    Args:
        found: What `Finals.as_json` returned.
        units: Objective -> unit.
    """
    import plotly.graph_objects as go

    y, x = [*units, *units][:2]
    figure = go.Figure()
    for role, title in ROLES.items():
        shown = [f for f in found if f["role"] == role and f["values"][x]["mean"] is not None]
        if shown:
            figure.add_scatter(
                name=title,
                mode="markers",
                x=[f["values"][x]["mean"] for f in shown],
                y=[f["values"][y]["mean"] for f in shown],
                error_x={"array": [f["values"][x]["deviation"] or 0 for f in shown]},
                error_y={"array": [f["values"][y]["deviation"] or 0 for f in shown]},
                text=[escaped(f["name"]) for f in shown],
            )
    labels = {name: f"{name} ({unit})" if unit else name for name, unit in units.items()}
    figure.update_layout(
        title="Trained in full: mean and deviation over seeds",
        xaxis_title=escaped(labels[x]),
        yaxis_title=escaped(labels[y]),
    )
    return figure


def _cell(summary: Mapping[str, Any] | None) -> str:
    if summary is None or summary["mean"] is None:
        return ""
    spread = summary["deviation"] or summary.get("spread")
    return with_spread(summary["mean"], spread)
