"""The front as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from rich import box
from rich.table import Table
from rich.text import Text

from optuna_nas.reporting.derived import parts
from optuna_nas.reporting.front import front
from optuna_nas.reporting.noise import tied
from optuna_nas.reporting.text import heading, one_line, quantity, with_spread
from optuna_nas.reporting.trust import headings
from optuna_nas.study.record import Record, objective_names

__all__ = ["front_table", "networks_table"]


def front_table(study: optuna.Study) -> Table:
    """The Pareto front, best first: trial, objectives with unit and spread, parameters, network.

    Where the noise does not tell networks apart, a column says with which ones each is tied. In a
    narrow terminal the network takes several lines; no number is ever cut.
    """
    found = front(study)
    table = networks_table(found, study)
    inherited = ", inherited weights" * any(record.inherited for record in found)
    table.title = Text(f"Pareto front of {study.study_name}: {len(found)} networks{inherited}")
    return table


def networks_table(
    shown: Sequence[Record], study: optuna.Study, one_line_each: bool = False
) -> Table:
    """Trials as rows; with `one_line_each` a network that does not fit ends in an ellipsis."""
    names = objective_names(study)
    ties = tied([record for record in shown if record.values])
    noisy = any(ties.values())
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", title_style="bold")
    table.add_column("trial", justify="right", overflow="fold")
    for title in headings(study, shown).values():
        table.add_column(Text(title.replace(" (", "\n(", 1)), justify="right", overflow="fold")
    if noisy:
        table.add_column("tied\nwith", justify="right", overflow="fold")
    weighed = {n: part.unit for r in shown for n, part in parts(r).items() if n not in names}
    for name, unit in weighed.items():
        title = heading(name, unit).replace(" (", "\n(", 1)
        table.add_column(Text(title), justify="right", overflow="fold")
    if "parameters" not in names:
        table.add_column("parameters", justify="right", overflow="fold")
    table.add_column("network")
    for record in shown:
        others = [", ".join(map(str, ties[record.number]))] if noisy else []
        found = parts(record)
        others += [
            with_spread(found[name].value, record.spread(name)) if name in found else ""
            for name in weighed
        ]
        table.add_row(*_numbers(record, names, others), _network(record, one_line_each))
    return table


def _numbers(record: Record, names: Sequence[str], others: Sequence[str]) -> list[Text]:
    values = [with_spread(record.values[name], record.spread(name)) for name in names]
    size = record.parameters
    parameters = [] if "parameters" in names else ["" if size is None else quantity(size)]
    return [Text(cell) for cell in (str(record.number), *values, *others, *parameters)]


def _network(record: Record, one_line_each: bool) -> Text:
    network = one_line([record.line]) or record.digest[:12]
    if one_line_each:
        return Text(network, no_wrap=True, overflow="ellipsis")
    return Text(network, overflow="fold")
