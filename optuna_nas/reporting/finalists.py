"""Finalists and baselines beside each other, from what the study of their search keeps.

That is the user attribute `finalists`: for each network what `finalists.Final.as_json` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.study import StudyDirection
from rich import box
from rich.table import Table
from rich.text import Text

from optuna_nas.reporting.text import quantity, with_spread
from optuna_nas.study.record import objective_names

__all__ = [
    "FINALS",
    "OURS",
    "ROLES",
    "finals",
    "finals_table",
    "priced",
    "summarised",
    "verdict",
]

FINALS = "finalists"
"""User attribute of a search's study: what its finalists and their baselines came to."""

Rows = Sequence[Mapping[str, Any]]

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
OURS = ("front", "tuned", "distilled", "pruned")
"""Roles of what the search has found, and of what was made of it."""


def finals(study: optuna.Study) -> list[dict[str, Any]]:
    """Finalists and baselines of a study, the finalists first; empty before there are any.

    A row has `name`, `role`, `digest`, `network`, `parameters`, `values` and `test` (objective ->
    `mean`, `deviation`, `by_seed`), `cost` and more.
    """
    found: list[dict[str, Any]] = study.user_attrs.get(FINALS, [])
    return found


def verdict(study: optuna.Study) -> str:
    """In a sentence, whether a search found better than the baselines, and what it cost."""
    rows = finals(study)
    own = [row for row in rows if row["role"] in OURS]
    others = [row for row in rows if row["role"] not in OURS]
    if not own or not others:
        return "Nothing was compared with the finalists."
    signs = {
        name: 1 if direction == StudyDirection.MAXIMIZE else -1
        for name, direction in zip(objective_names(study), study.directions, strict=True)
    }
    paid = own[0]["cost"].get("search")  # absent in rows of earlier versions
    cost = f", for {priced(paid)} of search," if paid else ""
    lost = [row["name"] for row in others if any(_dominates(row, one, signs) for one in own)]
    if lost:
        return (
            f"The search{cost} did not beat {', '.join(lost)}: as good as a finalist in every "
            "objective, and better in one."
        )
    unknown = [row for row in others if not any(_comparable(row, one, signs) for one in own)]
    won = [row["name"] for row in others if any(_dominates(one, row, signs) for one in own)]
    rest = sum(row["name"] not in won and row not in unknown for row in others)
    beside = f"; {rest} more are neither better nor worse" if rest else ""
    beside += f"; {len(unknown)} could not be compared" if unknown else ""
    if not won:
        return f"No finalist{cost} beats a baseline{beside}."
    how = ": as good in every objective, and better in one" if len(signs) > 1 else ""
    return f"A finalist{cost} beats {', '.join(won)}{how}{beside}."


def _comparable(
    one: Mapping[str, Any], other: Mapping[str, Any], signs: Mapping[str, int]
) -> bool:
    """Whether every objective of both is known."""
    means = [row["values"][name]["mean"] for row in (one, other) for name in signs]
    return None not in means


def _dominates(one: Mapping[str, Any], other: Mapping[str, Any], signs: Mapping[str, int]) -> bool:
    """Whether one is as good in every objective and better in one, as far as is known."""
    if not _comparable(one, other, signs):
        return False
    pairs = [(one["values"][name]["mean"], other["values"][name]["mean"]) for name in signs]
    gains = [sign * (a - b) for sign, (a, b) in zip(signs.values(), pairs, strict=True)]
    return all(gain >= 0 for gain in gains) and any(gain > 0 for gain in gains)


def priced(cost: Mapping[str, Any]) -> str:
    """A cost in words, such as `34 epochs, 81 s`."""
    told = [f"{cost['epochs']:,} epochs", f"{cost['seconds']:,.0f} s"]
    if "supernet epochs" in cost:
        told.append(
            f"a supernet of {cost['supernet epochs']:,.0f} epochs, "
            f"{cost['supernet seconds']:,.0f} s"
        )
    if "joules" in cost:
        told.append(f"{cost['joules'] / 1000:,.3g} kJ")
    return ", ".join(told)


def finals_table(rows: Rows) -> Table:
    """One row each: means and deviations over seeds on validation and test, size, cost.

    What was measured once has the spread of its measurement.

    Args:
        rows: As `finals` returns them.
    """
    names = list(rows[0]["values"]) if rows else []
    tested = list(dict.fromkeys(n for final in rows for n in final["test"] or {}))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("network", overflow="fold")
    for name in names:
        table.add_column(Text(name), justify="right", overflow="fold")
    for name in tested:
        table.add_column(Text(f"{name}\n(test)"), justify="right", overflow="fold")
    if "parameters" not in names:
        table.add_column("parameters", justify="right")
    table.add_column("found for", overflow="fold")
    table.add_column("trained for", overflow="fold")
    role = None
    for final in rows:
        if final["role"] != role and role is not None:
            table.add_section()
        role = final["role"]
        cells = [summarised(final["values"][name]) for name in names]
        cells += [summarised((final["test"] or {}).get(name)) for name in tested]
        if "parameters" not in names:
            size = final["parameters"]
            cells.append("" if size is None else quantity(size))
        search = final["cost"].get("search")
        cells += [priced(search) if search else "", priced(final["cost"])]
        table.add_row(Text(final["name"]), *map(Text, cells))
    return table


def summarised(summary: Mapping[str, Any] | None) -> str:
    """A mean with its deviation over seeds, or else with the spread of its measurement."""
    if summary is None or summary["mean"] is None:
        return ""
    spread = summary["deviation"] or summary.get("spread")
    return with_spread(summary["mean"], spread)
