"""Commands that look at what searches are made of: the parts known by a name, and spaces."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from optuna_nas.cli.files import JSON
from optuna_nas.cli.group import main
from optuna_nas.cli.subject import INPUT, OUTPUTS, SPACE, Subject, subject

__all__ = ["known", "summary"]


@main.command("list")
@JSON
def list_(as_json: bool) -> None:
    """Print every part there is, by name: spaces, blocks, objectives, samplers, backends ...

    \b
    optuna-nas list
    optuna-nas list --json
    """
    found = known()
    if as_json:
        click.echo(json.dumps({kind: sorted(parts) for kind, parts in found.items()}, indent=2))
        return
    shown = Table(box=box.SIMPLE_HEAD, show_header=False)
    for kind, parts in found.items():
        shown.add_row(f"[bold]{kind}[/bold]", "")
        for name in sorted(parts):
            shown.add_row(f"  {escape(name)}", escape(summary(parts[name])))
    Console().print(shown)


@main.command()
@SPACE
@click.option("--count", default=5, show_default=True, type=click.IntRange(1), help="How many.")
@click.option("--seed", default=0, show_default=True, help="Of the draws.")
@INPUT
@OUTPUTS
@click.option(
    "--diagrams",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Draw each network into a file NUMBER-DIGEST.svg there.",
)
@JSON
def sample(
    space: str,
    count: int,
    seed: int,
    input_shape: tuple[int, ...] | None,
    outputs: int | None,
    diagrams: Path | None,
    as_json: bool,
) -> None:
    """Draw networks from SPACE at random, with their parameters and FLOPs.

    SPACE is the name of a ready-made space, as `optuna-nas list` prints them, or a STUDY.py.

    \b
    optuna-nas sample cnn --count 5 --seed 0
    optuna-nas sample mobilenet --input 1,28,28 --json
    optuna-nas sample studies/digits_cnn.py --diagrams pictures
    """
    found = _sample(subject(space, input_shape, outputs), count, seed)
    if diagrams is not None:
        _save_diagrams(found, diagrams)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    shown = Table("digest", "parameters", "MFLOP", "network", box=box.SIMPLE_HEAD)
    for row in found:
        counts = f"{row['parameters']:,.0f}", f"{row['flops'] / 1e6:,.3f}"
        shown.add_row(row["digest"][:12], *counts, escape(row["network"]))
    Console().print(shown)


def _save_diagrams(found: list[dict[str, Any]], folder: Path) -> None:
    from optuna_nas.architecture import Architecture
    from optuna_nas.exceptions import DescriptionError
    from optuna_nas.reporting import save_diagram

    for number, row in enumerate(found):
        if row["architecture"] is None:
            raise DescriptionError("expected a space of architectures to draw, got one of modules")
        architecture = Architecture.from_json(row["architecture"])
        save_diagram(architecture, folder / f"{number}-{row['digest'][:12]}.svg")


def known() -> dict[str, dict[str, Any]]:
    """Kind of part -> name -> its class."""
    from optuna_nas import pruners, samplers
    from optuna_nas.backends import BACKENDS
    from optuna_nas.blocks import BLOCKS
    from optuna_nas.datasets import DATASETS
    from optuna_nas.objectives.registry import NAMES
    from optuna_nas.spaces import SPACES

    made = {name: samplers.by_name(name, seed=0) for name in samplers.NAMES}
    return {
        "spaces": SPACES,
        "blocks": BLOCKS,
        "objectives": dict(NAMES),
        "samplers": {name: type(getattr(own, "sampler", own)) for name, own in made.items()},
        "pruners": {name: type(pruners.by_name(name, 1, 3)) for name in pruners.NAMES},
        "datasets": DATASETS,
        "backends": BACKENDS,
    }


def summary(part: Any) -> str:
    """The first sentence of its documentation."""
    text = inspect.getdoc(part) or ""
    return " ".join(text.partition("\n\n")[0].split())


def _sample(of: Subject, count: int, seed: int) -> list[dict[str, Any]]:
    from optuna_nas.architecture import Architecture
    from optuna_nas.objectives import FLOPs, Parameters
    from optuna_nas.objectives.candidate import Candidate
    from optuna_nas.spaces.draws import random_trials
    from optuna_nas.study.description import describe, network_digest

    found = []
    space = describe(of.space)
    for trial, _ in zip(random_trials(seed), range(count), strict=False):
        drawn = of.space(trial)
        candidate = Candidate(drawn, of.input_shape, of.outputs)
        graph = isinstance(drawn, Architecture)
        params = " ".join(f"{name}={value}" for name, value in trial.params.items())
        found.append(
            {
                "digest": network_digest(drawn, trial.params, space),
                "parameters": int(Parameters()(candidate).value),
                "flops": int(FLOPs()(candidate).value),
                "network": drawn.describe() if graph else params,
                "architecture": json.loads(drawn.to_json()) if graph else None,
                "params": trial.params,
            }
        )
    return found
