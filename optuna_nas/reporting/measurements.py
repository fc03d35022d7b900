"""What was measured of one network, and what was measured again of a front, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from optuna_nas.reporting.text import heading, quantity, with_spread
from optuna_nas.reporting.trust import conditions

__all__ = ["how", "measurements_table", "remeasured_tables"]

SHOWN = ("p10", "runs", "passes", "settled", "slowdown")
"""Details of a measurement that are shown beside what it belongs to."""


def measurements_table(found: Iterable[Mapping[str, Any]], title: str) -> Table:
    """Measurements of one network, one a row.

    Args:
        found: Each with `name` and `unit`, and either `value`, `spread` and how it was measured,
            or an `error`.
        title: What was measured.
    """
    table = _table(title)
    table.add_column("quantity")
    table.add_column("value", justify="right", overflow="fold")
    table.add_column("how", overflow="fold")
    for item in found:
        value = with_spread(item["value"], item["spread"]) if "value" in item else "refused"
        told = item.get("error") or how(item)
        table.add_row(Text(heading(item["name"], item["unit"])), value, Text(told))
    return table


def how(measured: Mapping[str, Any]) -> str:
    """What a measured value belongs to, and how it was taken, such as `eager, runs 110`."""
    known = [f"{key} {_said(measured[key])}" for key in SHOWN if key in measured]
    return ", ".join(filter(None, (conditions(measured), *known)))


def remeasured_tables(found: Mapping[str, Any]) -> Iterable[Table]:
    """What `remeasure` found, one table for each quantity, one member of the front a row."""
    for item in found["objectives"]:
        backend = f", {item['backend']}" if item["backend"] else ""
        table = _table(f"{heading(item['name'], item['unit'] + backend)}, {found['date']}")
        table.caption = _verdict(item)
        for name in ("trial", "before", f"median of {found['rounds']} rounds", "change"):
            table.add_column(name, justify="right", overflow="fold")
        for member in item["members"]:
            table.add_row(*_member(member))
        yield table


def _member(member: Mapping[str, Any]) -> list[str]:
    before, after = member["before"], member["after"]
    old = with_spread(before, member["spread_before"])
    if after is None:
        return [str(member["number"]), old, "refused", ""]
    change = f"{100 * (after / before - 1):+.1f} %" if before else ""
    return [str(member["number"]), old, with_spread(after, member["spread_after"]), change]


def _verdict(item: Mapping[str, Any]) -> str:
    if item["tau"] is None:
        return "fewer than two values to compare"
    pairs = ", ".join(f"{one} and {other}" for one, other in item["swapped"])
    return f"Kendall's tau of the two orders {item['tau']:.2f}; changed places: {pairs or 'none'}"


def _table(title: str) -> Table:
    return Table(
        box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", title=Text(title, style="bold")
    )


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return quantity(value) if isinstance(value, int | float) else str(value)
