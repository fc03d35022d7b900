"""`optuna-nas finalists` and `optuna-nas audit`: from a front to networks that can be trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from optuna_nas.cli.files import (
    JSON,
    SMOKE,
    STORAGE,
    STUDY,
    load_file,
    load_study,
    open_study,
    search_of,
    storage_url,
)
from optuna_nas.cli.group import main
from optuna_nas.names import file_name

if TYPE_CHECKING:
    import optuna

    from optuna_nas.finalists import Finals, Retraining
    from optuna_nas.study import Search
    from optuna_nas.study.record import Record


@main.command()
@STUDY
@STORAGE
@SMOKE
@click.option("--top", metavar="K", type=click.IntRange(1), help="How many; 3 by default.")
@click.option("--rule", default="spread", show_default=True, help="spread, knee or best.")
@click.option(
    "--within", metavar="NAME=VALUE", multiple=True, help="Only those that keep it: latency=8."
)
@click.option("--trial", metavar="N", multiple=True, type=int, help="Take this one, by hand.")
@click.option("--seeds", metavar="S", type=click.IntRange(1), help="Trainings of each; 3.")
@click.option("--epochs", metavar="N", type=click.IntRange(1), help="Twice the search's.")
@click.option(
    "--patience", metavar="N", type=click.IntRange(1), help="End after N epochs without gain."
)
@click.option("--fine-tune", is_flag=True, default=None, help="From weights of a one-shot search.")
@click.option("--label", metavar="NAME", help="To try another recipe beside the first.")
@click.option("--no-baselines", is_flag=True, help="Train the finalists alone.")
@click.option("--against-random", is_flag=True, help="Run random search of the same cost too.")
@click.option(
    "--tune", metavar="N", type=click.IntRange(0), default=0, help="Tune the best, in N trials."
)
@click.option(
    "--prune", metavar="SHARE", type=float, help="Cut a share of the best one's channels."
)
@click.option("--distil", is_flag=True, help="Let a smaller one learn from the best.")
@click.option(
    "--students",
    metavar="N",
    type=click.IntRange(0),
    default=0,
    help="Search for a student of it, in N trials.",
)
@click.option(
    "--student-within", metavar="NAME=VALUE", multiple=True, help="Its caps; half the weights."
)
@click.option("--unseal", metavar="REASON", default="", help="Use a test again; this is kept.")
@click.option("--choose-only", is_flag=True, help="Say which would be taken, and train nothing.")
@JSON
def finalists(
    file: Path,
    storage: str | None,
    smoke: bool,
    top: int | None,
    rule: str,
    within: tuple[str, ...],
    trial: tuple[int, ...],
    no_baselines: bool,
    against_random: bool,
    tune: int,
    prune: float | None,
    distil: bool,
    students: int,
    student_within: tuple[str, ...],
    unseal: str,
    choose_only: bool,
    as_json: bool,
    **recipe: Any,
) -> None:
    """Train networks of the front anew, beside baselines, test them once, and export them.

    STUDY.py may define `retraining = optuna_nas.finalists.Retraining(...)`, the recipe, and
    `references = {"name": network}`, pretrained ones or functions that make one, to compare with;
    and `student = network`, which --distil teaches instead of the smallest finalist.
    Interrupted, the same command goes on; finished, it prints what is stored.

    \b
    optuna-nas finalists studies/digits_cnn.py --top 3 --seeds 3
    optuna-nas finalists studies/digits_cnn.py --rule best --within latency=0.3
    """
    from optuna_nas.finalists import Further, choose_finalists, run_finals
    from optuna_nas.reporting import front_json, networks_table

    module = load_file(file, "STUDY.py")
    search = search_of(module, file, smoke)
    study = open_study(search, storage_url(file, search, storage))
    chosen = choose_finalists(search, study, top, rule, _caps(within, "--within"), trial)
    caps = _caps(student_within, "--student-within")
    if choose_only:
        numbers = {record.number for record in chosen}
        if as_json:
            found = [network for network in front_json(study) if network["number"] in numbers]
            click.echo(json.dumps(found, indent=2))
        else:
            Console().print(networks_table(chosen, study))
        return
    with Console(stderr=True).status("") as shown:
        finals = run_finals(
            search,
            search.study(study._storage),
            chosen,
            _recipe(module, search, smoke, recipe),
            getattr(module, "references", None),
            compare=not no_baselines,
            against_random=against_random,
            further=Further(tune, prune, distil, getattr(module, "student", None), students, caps),
            reason=unseal,
            progress=shown.update,
            on_epoch=lambda _, epoch, values: shown.update(_line(shown.status, epoch, values)),
        )
    _attach(study, chosen, finals)
    _show(finals, study, file, as_json)


@main.command()
@STUDY
@STORAGE
@SMOKE
@JSON
def audit(file: Path, storage: str | None, smoke: bool, as_json: bool) -> None:
    """Print every decision of a search: seeds, versions, digests, uses of the test.

    Digests are computed again; ends with exit code 1 where one is wrong, or a test was used
    twice.

    \b
    optuna-nas audit studies/digits_cnn.py --json
    """
    from optuna_nas.finalists import audit as audited

    found = audited(load_study(file, storage, smoke))
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            _print(name, value)
    if found["wrong"]:
        raise SystemExit(1)


def _caps(within: tuple[str, ...], option: str) -> dict[str, float]:
    caps = {}
    for cap in within:
        name, _, value = cap.partition("=")
        try:
            caps[name] = float(value)
        except ValueError:
            raise click.BadParameter(
                f"expected NAME=VALUE, such as latency=8, got {cap!r}", param_hint=option
            ) from None
    return caps


def _recipe(module: object, search: Search, smoke: bool, given: Mapping[str, Any]) -> Retraining:
    from optuna_nas.finalists import Retraining

    recipe = getattr(module, "retraining", None) or Retraining()
    if not isinstance(recipe, Retraining):
        raise click.BadParameter(
            f"expected retraining = optuna_nas.finalists.Retraining(...), got {recipe!r}",
            param_hint="STUDY.py",
        )
    if smoke:
        recipe = replace(recipe, epochs=search.budget.max_epochs)
    return replace(recipe, **{name: value for name, value in given.items() if value is not None})


def _line(status: object, epoch: int, values: Mapping[str, float]) -> str:
    done = str(status).partition(": epoch")[0]
    found = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
    return f"{done}: epoch {epoch}, {found}"


def _show(finals: Finals, study: optuna.Study, file: Path, as_json: bool) -> None:
    from optuna_nas.reporting import finals_table, plot_finalists

    page = file.with_name(file_name(finals.search.name, ".finalists.html"))
    plot_finalists(study).write_html(page, include_plotlyjs=True)
    if as_json:
        click.echo(json.dumps(finals.as_json(), indent=2))
    else:
        console = Console()
        console.print(finals.verdict, markup=False, highlight=False)
        console.print(finals_table(finals.as_json()))
        for final in finals.found:
            console.print(f"{final.retrained.finalist.name}: {final.folder}", markup=False)
    for warning in [*finals.warnings, *(note for f in finals.finals for note in f.notes)]:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"plot: {page}", err=True)


def _attach(study: optuna.Study, chosen: Sequence[Record], finals: Finals) -> None:
    """Let optuna-dashboard offer what the networks of trials were exported as."""
    from optuna_nas.reporting import attach

    named = {final.retrained.finalist.name: final for final in finals.found}
    trials = study.get_trials(deepcopy=False)
    for record in chosen:
        final = named.get(f"trial {record.number}")
        if final is not None and final.folder is not None:
            files = [final.folder / name for name in ("card.md", *(f.file for f in final.forms))]
            attach(study, trials[record.number], filter(Path.is_file, files))


def _print(name: str, value: Any) -> None:
    if isinstance(value, list):
        click.echo(f"{name}: {len(value)}")
        for item in value:
            click.echo(f"  {item if isinstance(item, str | int) else json.dumps(item)}")
    else:
        click.echo(f"{name}: {json.dumps(value) if isinstance(value, dict) else value}")
