"""What share of a space keeps the caps of a study, as it was found before the first trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from rich import box
from rich.table import Table
from rich.text import Text

from optuna_nas.reporting.text import heading, percent, short

__all__ = ["cap", "feasibility", "feasibility_table"]


def feasibility(study: optuna.Study) -> Mapping[str, Any] | None:
    """The report that `Search.feasibility` left with a study; None where it has no caps."""
    found: Mapping[str, Any] | None = study.user_attrs.get("feasibility")
    return found


def feasibility_table(study: optuna.Study) -> Table | None:
    """The report as a table, one quantity a row; None where there is none."""
    found = feasibility(study)
    if found is None:
        return None
    title = f"Feasibility: {percent(found['share'])} of the space keeps all caps"
    failed = f", of which {found['failed']} failed" if found["failed"] else ""
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
        title=Text(title, style="bold"),
        caption=Text(f"{found['samples']} untrained networks drawn at random{failed}"),
    )
    table.add_column("quantity", overflow="fold")
    for name in ("seen", "min", "25 %", "median", "75 %", "max"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("cap", no_wrap=True)
    table.add_column("keep it", justify="right")
    for item in found["quantities"]:
        share = "" if item["share"] is None else percent(item["share"])
        table.add_row(
            Text(heading(item["name"], item["unit"])),
            str(item["samples"]),
            *map(short, item["range"]),
            cap(item),
            share,
        )
    return table


def cap(item: Mapping[str, Any]) -> str:
    """Floor and cap of a quantity, such as `≤ 8`; empty where it has neither."""
    bounds = (("≥", item["min"]), ("≤", item["max"]))
    return " ".join(f"{sign} {short(bound)}" for sign, bound in bounds if bound is not None)
