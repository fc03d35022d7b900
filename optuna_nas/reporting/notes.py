"""What optuna-dashboard says of a trial, as Markdown: the network, its measurements, its end."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence

from optuna_nas.reporting.front import known_values
from optuna_nas.reporting.text import one_line, quantity, with_spread
from optuna_nas.study.record import Record

__all__ = ["note"]

_LITERAL = {ord(c): f"&#{ord(c)};" for c in string.punctuation if c not in "-.,:_="} | {
    ord("_"): r"\_",
    ord("="): r"\=",
}


def note(record: Record, units: Mapping[str, str]) -> str:
    """The note of a trial.

    Args:
        record: The trial.
        units: Objective name -> unit.
    """
    rest = record.ended.removeprefix(record.outcome)
    rest = rest if rest != record.ended or not rest else f": {rest}"
    parts = [f"**{_literal(record.outcome)}**{_literal(rest)}"]
    parts += [_literal(record.line)] if record.line else []
    rows = _rows(record, units)
    if rows:
        parts.append("\n".join(["| measurement | value | unit |", "|---|---:|---|", *rows]))
    for number, relation in ((record.continues, "continues"), (record.reused_from, "is equal to")):
        parts += [f"This trial {relation} trial {number}."] if number is not None else []
    return "\n\n".join(parts)


def _rows(record: Record, units: Mapping[str, str]) -> list[str]:
    known = known_values(record, list(units))
    values = {name: with_spread(value, record.spread(name)) for name, value in known.items()}
    for name, measured in record.measurements.items():
        values.setdefault(name, with_spread(measured["value"], record.spread(name)))
    unit_of = {n: str(m.get("unit") or "") for n, m in record.measurements.items()} | dict(units)
    found = [(name, value, unit_of.get(name, "")) for name, value in values.items()]
    spent = [("epochs trained", quantity(record.epochs), "")] if record.finished else []
    spent += [("time", f"{record.seconds:.1f}", "s")] if record.seconds else []
    return [_row(cells) for cells in (*found, *spent)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_literal, cells))} |"


def _literal(text: str) -> str:
    """Text that Markdown shows as it is: nothing from storage is markup."""
    return one_line([text]).translate(_LITERAL)
