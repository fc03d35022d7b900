"""Commands that look at a study: front, report, status, dashboard."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from optuna_nas.cli.files import (
    JSON,
    SMOKE,
    STORAGE,
    STUDY,
    load_search,
    load_study,
    open_named,
    open_study,
    storage_url,
)
from optuna_nas.cli.group import main
from optuna_nas.names import file_name

if TYPE_CHECKING:
    import optuna

__all__ = ["print_feasibility", "print_front", "save_report"]


@main.command()
@STUDY
@STORAGE
@SMOKE
@JSON
def front(file: Path, storage: str | None, smoke: bool, as_json: bool) -> None:
    """Print the Pareto front found so far.

    \b
    optuna-nas front studies/digits_cnn.py --json
    """
    print_front(load_study(file, storage, smoke), as_json)


@main.command()
@click.argument("file", metavar="[STUDY.py]", required=False, type=click.Path(path_type=Path))
@STORAGE
@click.option("--study", "name", metavar="NAME", help="A study in --storage, without its file.")
@SMOKE
@click.option("--output", type=click.Path(path_type=Path), help="By default NAME.html beside it.")
def report(
    file: Path | None, storage: str | None, name: str | None, smoke: bool, output: Path | None
) -> None:
    """Write a self-contained HTML report.

    \b
    optuna-nas report studies/digits_cnn.py --output front.html
    optuna-nas report --storage sqlite:///studies/digits_cnn.db --study digits_cnn
    """
    if file is None:
        if storage is None or name is None:
            raise click.UsageError("expected STUDY.py, or both --storage URL and --study NAME")
        save_report(open_named(name, storage), output or Path(file_name(name, ".html")))
        return
    search = load_search(file, smoke)
    study = open_study(search, storage_url(file, search, storage))
    beside = file.with_name(file_name(study.study_name, ".html"))
    save_report(study, output or beside, search.space)


@main.command()
@STUDY
@STORAGE
@SMOKE
@JSON
def status(file: Path, storage: str | None, smoke: bool, as_json: bool) -> None:
    """Say how far the search is: trials by outcome, epochs spent, hypervolume, pace, workers.

    Reads the storage alone, so it may be asked while the search runs, from any machine.

    \b
    optuna-nas status studies/digits_cnn.py
    """
    from optuna_nas.reporting import pace
    from optuna_nas.reporting import status as summary
    from optuna_nas.reporting.text import quantity

    study = load_study(file, storage, smoke)
    values = summary(study) | pace(study)
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    width = max(map(len, values))
    for name, value in values.items():
        shown = value if isinstance(value, str) else quantity(value)
        click.echo(f"{name:<{width}}  {shown}")


@main.command()
@STUDY
@STORAGE
@SMOKE
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
@click.option("--browser/--no-browser", default=True, help="Open the page in the browser.")
def dashboard(file: Path, storage: str | None, smoke: bool, port: int, browser: bool) -> None:
    """Serve the study in optuna-dashboard on 127.0.0.1 until Ctrl-C.

    \b
    optuna-nas dashboard studies/digits_cnn.py --port 8081
    """
    from optuna_nas.reporting import serve

    study = load_study(file, storage, smoke)
    serve(study, port=port, open_browser=browser)


def print_feasibility(study: optuna.Study) -> None:
    """Print, on standard error, what share of the space keeps the caps of a study that has any."""
    from optuna_nas.reporting import feasibility_table

    table = feasibility_table(study)
    if table is not None:
        Console(stderr=True).print(table)


def print_front(study: optuna.Study, as_json: bool) -> None:
    """Print the front as a table, or as JSON."""
    from optuna_nas.reporting import front_json, front_table

    if as_json:
        click.echo(json.dumps(front_json(study), indent=2))
    else:
        Console().print(front_table(study))


def save_report(
    study: optuna.Study,
    path: Path,
    space: Callable[[Any], Any] | None = None,
    quiet: bool = False,
) -> None:
    """Write the HTML report and say where."""
    from optuna_nas.reporting import write_report

    write_report(study, path, space)
    if not quiet:
        click.echo(f"report: {path}", err=True)
