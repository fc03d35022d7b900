"""A study as one self-contained HTML file: works offline, on a phone, in the dark and printed."""

from __future__ import annotations

import os
import tempfile
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import optuna
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from optuna.storages import InMemoryStorage
from plotly.offline import get_plotlyjs

from optuna_nas import __version__
from optuna_nas.reporting.feasibility import cap
from optuna_nas.reporting.sections import course, found, spent, trials, trusted
from optuna_nas.reporting.sections.details import details
from optuna_nas.reporting.sections.figures import packed
from optuna_nas.reporting.sections.seen import see
from optuna_nas.reporting.text import duration, heading, percent, quantity, short

__all__ = ["write_report"]

SECTIONS = {
    "found": found.section,
    "trusted": trusted.section,
    "spent": spent.section,
    "course": course.section,
    "trials": trials.section,
}
"""Name of a template -> what it shows, in the order of the page."""
FILTERS: dict[str, Callable[..., str]] = {
    "cap": cap,
    "duration": duration,
    "heading": heading,
    "percent": percent,
    "quantity": quantity,
    "short": short,
}


def write_report(
    study: optuna.Study, path: str | Path, space: Callable[[Any], Any] | None = None
) -> None:
    """Write the report of a study; an older file is replaced only when the new one is complete.

    It shows the study as it was at one moment, also while workers go on with it. The file needs
    nothing besides itself, and lets nothing be loaded: text from the study is only text in it.

    Args:
        study: The study, finished, running or empty.
        path: The file to write; folders on the way are created.
        space: The space of its search, from which random networks are drawn to compare the front
            with; without it the first trials stand for them.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    text = _render(_as_it_is(study), space)
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
        return optuna.load_study(study_name=study.study_name, storage=memory, pruner=study.pruner)
    finally:
        optuna.logging.set_verbosity(verbosity)


def _render(study: optuna.Study, space: Callable[[Any], Any] | None) -> str:
    environment = Environment(
        loader=PackageLoader("optuna_nas.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    seen, script = see(study, space), _script(environment)
    return environment.get_template("report.html").render(
        name=study.study_name,
        version=__version__,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        sized=seen.sized,
        totals=seen.totals,
        supernet=seen.supernet,
        objectives=seen.objectives,
        sections=list(SECTIONS),
        script=script,
        plotly=_plotly(),
        details=packed(details(seen)),
        policy=_policy(script, get_plotlyjs()),
        **{name: section(seen) for name, section in SECTIONS.items()},
    )


@cache
def _plotly() -> Markup:
    return packed(get_plotlyjs())


def _script(environment: Environment) -> Markup:
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, "report.js")[0])


def _policy(*scripts: str) -> str:
    """Content security policy under which these scripts run, and nothing else ever does."""
    hashes = " ".join(
        f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
