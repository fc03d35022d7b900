"""`optuna-nas worker`: take part in a study that somebody began, on any machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from optuna_nas.cli.files import load_search, with_workers
from optuna_nas.cli.group import main
from optuna_nas.cli.run import optimise
from optuna_nas.exceptions import StudyError

if TYPE_CHECKING:
    from optuna_nas.study.workers import Workers

WAIT_SECONDS = 300.0
"""How long the storage of a study that somebody began may be away."""


@main.command()
@click.option(
    "--storage",
    metavar="URL",
    envvar="OPTUNA_NAS_STORAGE",
    required=True,
    help="Where the study is.",
)
@click.option("--study", "name", metavar="NAME", required=True, help="Its name.")
@click.option(
    "--file",
    metavar="STUDY.py",
    type=click.Path(path_type=Path),
    help="Its file on this machine; by default the one of that name in this directory.",
)
@click.option(
    "--until",
    metavar="N",
    type=click.IntRange(1),
    help="Begin no trial once the study has N, of all workers; by default what STUDY.py says.",
)
@click.option("--timeout", metavar="S", type=float, help="Begin no trial after S seconds.")
@with_workers
def worker(
    storage: str,
    name: str,
    file: Path | None,
    until: int | None,
    timeout: float | None,
    workers: Workers | None,
) -> None:
    """Take part in a study that `optuna-nas run` began, from any machine that reaches its storage.

    The study says which file describes it. Nothing that is stored is run: the file must be on
    this machine, and be the same. OPTUNA_NAS_STORAGE may give the URL, so that no password is in
    the list of processes. A storage that does not answer is waited for, five minutes at most.

    \b
    optuna-nas worker --storage postgresql://me@host/nas --study digits_cnn
    srun --ntasks 8 optuna-nas worker --storage postgresql://me@host/nas --study digits_cnn
    """
    from optuna_nas.study.loop import begun
    from optuna_nas.study.resuming import load
    from optuna_nas.study.storages.opening import connect
    from optuna_nas.study.workers.source import find

    stored = load(name, connect(storage, WAIT_SECONDS))
    path, smoke = find(stored, file)
    search = load_search(path, smoke)
    if search.name != name:
        raise StudyError(
            f"expected {path} to describe the study {name!r}, got the search {search.name!r}; "
            "give --file another one"
        )
    if "search" in stored.user_attrs:
        search = replace(search, seed=stored.user_attrs["search"]["seed"])
    study = search.study(stored._storage)
    until = until or search.trials
    left = max(0, until - begun(study))
    if not left:
        click.echo(f"study {name!r} has its {until} trials; --until goes further")
    optimise(search, study, Console(), left, timeout, until, workers)
