"""A study as one self-contained HTML file: works offline, on a phone, in the dark and printed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from plotly.offline import get_plotlyjs

from optuna_nas import __version__
from optuna_nas.reporting import plots
from optuna_nas.reporting.derived import derived
from optuna_nas.reporting.feasibility import cap, feasibility
from optuna_nas.reporting.fidelities import agreements
from optuna_nas.reporting.front import Totals, front, known_values, totals
from optuna_nas.reporting.inheritance import Supernet, correlations, doubt, supernet
from optuna_nas.reporting.noise import tied
from optuna_nas.reporting.text import duration, heading, percent, quantity, short, with_spread
from optuna_nas.reporting.trust import headings, measured, origins
from optuna_nas.study.record import Record, records

__all__ = ["write_report"]


class _Objective(NamedTuple):
    name: str
    heading: str
    maximised: bool


class _Cell(NamedTuple):
    value: float | None
    text: str


class _Row(NamedTuple):
    record: Record
    on_front: bool
    values: list[_Cell]
    parameters: _Cell
    nodes: list[str]


class _Tile(NamedTuple):
    label: str
    text: str
    note: str


class _Share(NamedTuple):
    kind: str
    label: str
    epochs: int
    percent: float


def write_report(study: optuna.Study, path: str | Path) -> None:
    """Write the report of a study; an older file is replaced only when the new one is complete.

    It shows the study as it was at one moment, also while workers go on with it.

    Args:
        study: The study, finished, running or empty.
        path: The file to write; folders on the way are created.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    text = _render(_as_it_is(study))
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".report-") as folder:
        draft = Path(folder, target.name)
        draft.write_text(text, encoding="utf-8", errors="replace")
        os.replace(draft, target)


def _as_it_is(study: optuna.Study) -> optuna.Study:
    """A copy in memory, in which no trial ends between two looks."""
    memory = InMemoryStorage()
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        optuna.copy_study(
            from_study_name=study.study_name, from_storage=study._storage, to_storage=memory
        )
        return optuna.load_study(study_name=study.study_name, storage=memory)
    finally:
        optuna.logging.set_verbosity(verbosity)


def _render(study: optuna.Study) -> str:
    environment = Environment(
        loader=PackageLoader("optuna_nas.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cap": cap, "duration": duration, "heading": heading}
    environment.filters |= {"percent": percent, "quantity": quantity, "short": short}
    return environment.get_template("report.html").render(_content(study))


def _content(study: optuna.Study) -> dict[str, Any]:
    everything = records(study)
    objectives = _objectives(study, everything)
    found = front(study)
    ties = tied(found)
    on_front = {record.number for record in found}
    spent, shared, agreed = totals(study), supernet(study), correlations(study)
    return {
        "name": study.study_name,
        "version": __version__,
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "plotly": Markup(get_plotlyjs()),
        "objectives": objectives,
        "tiles": _tiles(objectives, found, spent, shared),
        "supernet": shared,
        "correlations": agreed,
        "doubt": doubt(agreed),
        "front": [_row(record, objectives, True) for record in found],
        "ties": ties,
        "noisy": any(ties.values()),
        "derived": _derived(found),
        "trials": [_row(r, objectives, r.number in on_front) for r in everything],
        "outcomes": sorted({record.outcome for record in everything}),
        "totals": spent,
        "shares": _shares(spent),
        "feasibility": feasibility(study),
        "agreements": agreements(study),
        "remeasured": study.user_attrs.get("remeasured"),
        "measured": measured(everything),
        "origins": origins(study),
        "figures": _figures(study) if everything else {},
    }


def _objectives(study: optuna.Study, everything: Sequence[Record]) -> list[_Objective]:
    described = zip(headings(study, everything).items(), study.directions, strict=True)
    return [
        _Objective(name, title, direction == StudyDirection.MAXIMIZE)
        for (name, title), direction in described
    ]


def _derived(found: Sequence[Record]) -> dict[str, dict[int, _Cell]]:
    """Heading of a derived figure -> trial number -> the figure, for a front."""
    columns: dict[str, dict[int, _Cell]] = {}
    for record in found:
        for name, figure in derived(record).items():
            if figure.value not in record.values.values():  # else it has a column already
                cells = columns.setdefault(heading(name, figure.unit), {})
                cells[record.number] = _cell(figure.value, None)
    return columns


def _row(record: Record, objectives: Sequence[_Objective], on_front: bool) -> _Row:
    known = known_values(record, [objective.name for objective in objectives])
    size = record.parameters
    return _Row(
        record,
        on_front,
        [_cell(known.get(o.name), record.spread(o.name)) for o in objectives],
        _cell(None if size is None else float(size), None),
        [*record.network.split(" > "), record.recipe],
    )


def _cell(value: float | None, spread: float | None) -> _Cell:
    return _Cell(value, "" if value is None else with_spread(value, spread))


def _tiles(
    objectives: Sequence[_Objective],
    found: Sequence[Record],
    spent: Totals,
    shared: Supernet | None,
) -> list[_Tile]:
    """The findings in a handful of numbers."""
    tiles = []
    for objective in objectives[:3]:
        if not found:
            break
        pick = max if objective.maximised else min
        best = pick(found, key=lambda record: record.values[objective.name])
        label = f"{'highest' if objective.maximised else 'lowest'} {objective.heading}"
        tiles.append(_Tile(label, quantity(best.values[objective.name]), f"trial {best.number}"))
    tried = sum(spent.counts.values())
    tiles.append(_Tile("networks on the front", str(len(found)), f"of {tried} trials"))
    if shared is not None:
        return [*tiles, _Tile("epochs spent", f"{shared.epochs:,}", "on one supernet for all")]
    full = spent.epochs + sum(spent.saved.values())
    note = f"{100 * spent.epochs / full:.0f} % of training all in full" if full else ""
    return [*tiles, _Tile("epochs spent", f"{spent.epochs:,}", note)]


def _shares(spent: Totals) -> list[_Share]:
    """Epochs spent and saved, as parts of what full trainings would have taken."""
    parts: Mapping[str, tuple[str, int]] = {
        "spent": ("spent", spent.epochs),
        "pruned": ("saved by pruning", spent.saved["pruned"]),
        "rejected": ("saved by rejecting", spent.saved["rejected"]),
        "reused": ("saved by reuse", spent.saved["reused"]),
    }
    full = sum(epochs for _, epochs in parts.values())
    return [
        _Share(kind, label, epochs, 100 * epochs / full)
        for kind, (label, epochs) in parts.items()
        if epochs
    ]


def _figures(study: optuna.Study) -> dict[str, Markup]:
    return {
        "front": _embedded(plots.plot_front(study)),
        "hypervolume": _embedded(plots.plot_hypervolume(study)),
        "curves": _embedded(plots.plot_learning_curves(study)),
        "rungs": _embedded(plots.plot_rungs(study)),
    }


def _embedded(drawn: go.Figure) -> Markup:
    """A figure as JSON that no text inside it can end early, without the title."""
    drawn.update_layout(title=None, margin={"t": 64})
    text = drawn.to_json()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
