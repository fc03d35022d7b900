"""`optuna-nas table`: latency tables of spaces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from optuna_nas.cli.files import JSON
from optuna_nas.cli.group import main
from optuna_nas.cli.subject import INPUT, OUTPUTS, SPACE, Subject, subject
from optuna_nas.exceptions import DescriptionError, MeasurementError

if TYPE_CHECKING:
    from optuna_nas.objectives import Latency
    from optuna_nas.predictors import Building

SHOWN = 3
"""Refusals whose reasons are printed; --json has all."""


@main.group()
def table() -> None:
    """Latency tables: predict a network's latency from its blocks, each timed once.

    \b
    optuna-nas table build cnn --input 3,32,32
    """


@table.command()
@SPACE
@click.option("--output", type=click.Path(path_type=Path), help="By default SPACE-latency.json.")
@INPUT
@OUTPUTS
@click.option("--threads", metavar="N", type=click.IntRange(1), help="By default 1.")
@click.option("--backend", metavar="NAME", help="What runs the blocks; by default eager.")
@click.option("--batch", metavar="N", type=click.IntRange(1), help="Inputs a pass; by default 1.")
@click.option("--precision", metavar="NAME", help="By default fp32.")
@click.option("--device", metavar="NAME", help="By default cpu; or cuda:0.")
@click.option("--networks", default=24, show_default=True, type=click.IntRange(5))
@click.option("--samples", default=5000, show_default=True, type=click.IntRange(1))
@click.option("--blocks", metavar="N", type=click.IntRange(0), help="Time N at most, and stop.")
@JSON
def build(
    space: str,
    output: Path | None,
    input_shape: tuple[int, ...] | None,
    outputs: int | None,
    threads: int | None,
    backend: str | None,
    batch: int | None,
    precision: str | None,
    device: str | None,
    networks: int,
    samples: int,
    blocks: int | None,
    as_json: bool,
) -> None:
    """Time every block of SPACE once, on this machine.

    SPACE is the name of a ready-made space, such as cnn or mobilenet, or a STUDY.py, whose data
    and Latency then say what the options leave open. Its blocks are those of --samples random
    networks. --networks whole ones are timed too, to correct the sums: they and their blocks come
    first, then the commonest blocks. A block takes half a second to two seconds, a space has
    thousands: the table is saved after each, and the same command goes on.

    \b
    optuna-nas table build cnn --input 3,32,32 --output cnn.json
    optuna-nas table build mobilenet --threads 2 --backend onnxruntime --blocks 500
    optuna-nas table build studies/digits_cnn.py
    """
    from optuna_nas.predictors import build_table

    options = {
        "threads": threads,
        "backend": backend,
        "batch": batch,
        "precision": precision,
        "device": device,
    }
    chosen = {name: value for name, value in options.items() if value is not None}
    of = subject(space, input_shape, outputs)
    latency = _latency(of, space, chosen)
    try:
        latency.check()
    except MeasurementError as error:
        raise DescriptionError(f"latency cannot be measured here: {error}") from error
    path = output or Path(f"{Path(space).stem}-latency.json")
    with _progress() as progress:
        task = progress.add_task("finding the blocks", total=None)
        building = build_table(
            of.space,
            path,
            input_shape=of.input_shape,
            outputs=of.outputs,
            latency=latency,
            networks=networks,
            samples=samples,
            blocks=blocks,
            on_progress=lambda done, total: progress.update(
                task, description="timing", completed=done, total=total
            ),
        )
    summary = _summary(building, path)
    if as_json:
        click.echo(json.dumps(summary, indent=2))
    else:
        Console().print(_shown(summary))


def _latency(subject: Subject, space: str, given: dict[str, Any]) -> Latency:
    """How blocks are timed: as the study file says, and the options above it."""
    from dataclasses import replace

    from optuna_nas.objectives import Latency
    from optuna_nas.predictors.table import how

    measured = () if subject.search is None else subject.search.measured
    asked = [replace(o, **given) for o in measured if isinstance(o, Latency)]
    latency, *others = asked or [Latency(**given)]
    if any(how(other) != how(latency) for other in others):
        raise click.UsageError(
            f"{space} measures {', '.join(o.name for o in asked)} in different ways; say by "
            "--backend, --threads, --batch, --precision or --device which of them the table is of"
        )
    return latency


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


def _summary(building: Building, path: Path) -> dict[str, Any]:
    from optuna_nas.predictors.predictor import FEWEST

    table = building.table
    summary: dict[str, Any] = {
        "table": str(path),
        "blocks": len(table.blocks),
        "networks": len(table.networks),
        "timed_now": building.timed,
        "refused_now": building.refused,
        "networks_drawn": len(building.scan.news),
        "blocks_found": len(building.scan.counts),
        "covered": building.covered,
        "new_in_last_drawn": building.scan.unseen,
    }
    if len(table.usable) >= FEWEST:
        remainder = table.remainder()
        factor, call, weight = remainder.costs
        summary |= {
            "factor": factor,
            "us_per_operator": 1e3 * call,
            "ns_per_weight": 1e6 * weight,
            "error": remainder.error,
        }
    return summary


def _shown(summary: dict[str, Any]) -> Table:
    refused = summary["refused_now"]
    rows = {
        "blocks in the table": f"{summary['blocks']}, {summary['timed_now']} timed now",
        "blocks found": f"{summary['blocks_found']} in {summary['networks_drawn']} networks",
        "of their nodes covered": f"{summary['covered']:.1%}",
        "networks with a new block": f"{summary['new_in_last_drawn']:.1%} of the last drawn",
        "refused": "\n".join([f"{len(refused)} now", *map(escape, refused[:SHOWN])]),
    }
    if "factor" in summary:
        rows["correction"] = (
            f"{summary['factor']:.3f} x sum + {summary['us_per_operator']:.2f} us an operator + "
            f"{summary['ns_per_weight']:.3f} ns a weight"
        )
        rows["error"] = f"{summary['error']:.1%} on networks left out, root mean square"
    shown = Table(title=summary["table"], box=box.SIMPLE_HEAD, show_header=False)
    for name, value in rows.items():
        shown.add_row(name, value)
    return shown
