"""A comparison of searches on a table, as tables for the terminal and as a plot."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.table import Table

from optuna_nas.bench.comparison import gaps

__all__ = ["figure", "table"]


def table(result: dict[str, Any]) -> Group:
    """Show the result of `search.run`."""
    return Group(_fractions(result), _differences(result), _distances(result), _needed(result))


def figure(result: dict[str, Any]) -> Any:
    """The result as a plotly figure: -log10(1 - fraction) against the budget, with quartiles."""
    import plotly.graph_objects as go

    drawn = go.Figure()
    for name, median in result["median"].items():
        middle, low, high = (gaps(result[key][name]) for key in ("median", "lower", "upper"))
        above = [h - m for h, m in zip(high, middle, strict=True)]
        below = [m - x for x, m in zip(low, middle, strict=True)]
        bars = {"type": "data", "symmetric": False, "array": above, "arrayminus": below}
        drawn.add_scatter(
            x=result["budgets"],
            y=middle,
            error_y=bars,
            name=name,
            mode="lines+markers",
            customdata=median,
            hovertemplate="%{x:g} trainings: %{customdata:.4f}",
        )
    drawn.update_xaxes(title="full trainings", type="log")
    drawn.update_yaxes(title="-log10(1 - fraction of the front's hypervolume)")
    return drawn


def _fractions(result: dict[str, Any]) -> Table:
    rungs = "" if result["low_rung"] == "real" else f", {result['low_rung']} low rungs"
    about = f"{result['table']}, {result['device']}{rungs}, {result['seeds']} seeds"
    shown = _by_budget(result, f"Fraction of the front's hypervolume, median (quartiles): {about}")
    for name, medians in result["median"].items():
        quartiles = zip(medians, result["lower"][name], result["upper"][name], strict=True)
        shown.add_row(name, *(f"{m:.3f} ({low:.3f}-{high:.3f})" for m, low, high in quartiles))
    return shown


def _differences(result: dict[str, Any]) -> Table:
    title = f"The same less that of {result['against']} (95 % interval)"
    shown = _by_budget(result, title)
    for name, differences in result["difference"].items():
        shown.add_row(name, *(_interval(*difference) for difference in differences))
    return shown


def _distances(result: dict[str, Any]) -> Table:
    shown = _by_budget(result, "-log10(1 - fraction), and distance from the true front (IGD+)")
    for name, digits in result["gap"].items():
        pairs = zip(digits, result["distance"][name], strict=True)
        shown.add_row(name, *(f"{gap:.2f}, {_number(far, '.4f')}" for gap, far in pairs))
    return shown


def _needed(result: dict[str, Any]) -> Table:
    shown = Table(
        title="Full trainings needed to a fraction (times less than the best of Optuna's)"
    )
    shown.add_column("", no_wrap=True)
    for share in next(iter(result["reached"].values())):
        shown.add_column(share, justify="right")
    shown.add_column("ms a trial", justify="right")
    for name, reached in result["reached"].items():
        pairs = zip(reached.values(), result["saving"][name].values(), strict=True)
        cells = [f"{_number(b, '.1f')} ({_number(times, '.1f')})" for b, times in pairs]
        shown.add_row(name, *cells, _number(result["milliseconds"][name], ".1f"))
    return shown


def _by_budget(result: dict[str, Any], title: str) -> Table:
    shown = Table(title=title)
    shown.add_column("full trainings", no_wrap=True)
    for budget in result["budgets"]:
        shown.add_column(f"{budget:g}", justify="right")
    return shown


def _interval(difference: float, low: float | None, high: float | None) -> str:
    ends = "" if low is None else f" ({low:+.3f}..{high:+.3f})"
    return f"{difference:+.3f}{ends}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
