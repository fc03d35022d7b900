"""`optuna-nas run`: start a search, or go on with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from optuna.trial import TrialState
from rich.console import Console

from optuna_nas.cli.files import (
    JSON,
    SMOKE,
    STORAGE,
    STUDY,
    load_search,
    open_study,
    storage_url,
    with_workers,
)
from optuna_nas.cli.group import main
from optuna_nas.cli.look import print_feasibility, print_front, save_report
from optuna_nas.exceptions import SearchStopped
from optuna_nas.names import file_name

if TYPE_CHECKING:
    import optuna

    from optuna_nas.study import Search
    from optuna_nas.study.workers import Workers


@main.command()
@STUDY
@click.option("--trials", metavar="N", type=click.IntRange(0), help="New trials; 0 only prints.")
@STORAGE
@click.option("--timeout", metavar="S", type=float, help="Begin no trial after S seconds.")
@click.option("--seed", metavar="N", type=click.IntRange(0), help="Seed of a new study.")
@click.option(
    "--remeasure", is_flag=True, help="Measure the trials of another device anew on this one."
)
@with_workers
@SMOKE
@click.option("--quiet", is_flag=True, help="Show nothing while it runs.")
@JSON
def run(
    file: Path,
    trials: int | None,
    storage: str | None,
    timeout: float | None,
    seed: int | None,
    remeasure: bool,
    workers: Workers | None,
    smoke: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Start the search that STUDY.py describes, or go on with it.

    Shows how it goes, on a terminal as a live view, elsewhere as a line a trial; prints the front
    at the end and writes an HTML report beside STUDY.py. Ctrl-C ends it cleanly; the same command
    goes on.

    \b
    optuna-nas run studies/digits_cnn.py --trials 50
    optuna-nas run studies/digits_cnn.py --workers 2
    optuna-nas run studies/digits_cnn.py --quiet --json
    """
    from optuna_nas.study.workers.source import keep

    search = load_search(file, smoke)
    if seed is not None:
        search = replace(search, seed=seed)
    url = storage_url(file, search, storage)
    if trials == 0 and not remeasure:
        print_front(open_study(search, url), as_json)
        return
    with Console(stderr=True, quiet=quiet).status("looking at the space and the device") as shown:
        study = search.study(
            url, remeasure, lambda done, of: shown.update(f"measured {done}/{of} trials anew")
        )
    if not quiet and not study.get_trials(deepcopy=False):
        print_feasibility(study)
    keep(study, file, smoke)
    count = search.trials if trials is None else trials
    try:
        console = Console(stderr=as_json, quiet=quiet)
        optimise(search, study, console, count, timeout, workers=workers)
    finally:
        print_front(study, as_json)
        page = file.with_name(file_name(search.name, ".html"))
        save_report(study, page, search.space, quiet)


def optimise(
    search: Search,
    study: optuna.Study,
    console: Console,
    trials: int,
    timeout: float | None,
    until: int | None = None,
    workers: Workers | None = None,
) -> None:
    """Run trials of a study, and show them; the arguments are those of `Search.run`."""
    from optuna_nas.reporting import LiveView, Panels
    from optuna_nas.study.storages.opening import in_memory
    from optuna_nas.study.workers import Workers
    from optuna_nas.study.workers.interrupts import Interrupts

    if search.time_limit is not None and workers is None and not in_memory(study._storage):
        workers = Workers(1)  # a process that can be ended, whatever it is at
    interrupts, panels = Interrupts(), Panels()

    def on_epoch(trial: int | None, epoch: int, values: Mapping[str, float]) -> None:
        interrupts.check()
        view.epoch(trial, epoch, values)

    try:
        with LiveView(study, trials, timeout, console) as view:
            search.run(
                trials=trials,
                storage=study._storage,
                timeout=timeout,
                until=until,
                callbacks=[view.update, panels, interrupts.check],
                on_epoch=on_epoch,
                workers=workers,
            )
    finally:
        panels.end(study)
    _expect_some(study)
    if said := study.user_attrs.get("exhausted"):
        console.print(f"The search ended: {said}.", markup=False, highlight=False)


def _expect_some(study: optuna.Study) -> None:
    """Refuse to call a run done in which nothing but failures came out.

    Raises:
        SearchStopped: Says the last reason.
    """
    trials = study.get_trials(deepcopy=False)
    if trials and all(trial.state == TrialState.FAIL for trial in trials):
        said = trials[-1].user_attrs.get("ended", "nobody knows why")
        raise SearchStopped(f"each of {len(trials)} trials failed; the last: {said}")
