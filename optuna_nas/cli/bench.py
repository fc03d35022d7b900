"""`optuna-nas bench`: this tool beside others, as ratios in one run."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from optuna_nas.cli.files import JSON
from optuna_nas.cli.group import fail, main
from optuna_nas.exceptions import DataError, DescriptionError, MeasurementError, StudyError


@main.group()
def bench() -> None:
    """Compare this tool with others on this machine, in one run, as ratios."""


def _bench(name: str, text: str) -> None:
    def command(as_json: bool) -> None:
        module = importlib.import_module(f"optuna_nas.bench.{name}")
        result = module.run()
        _show(result, module.table, as_json)

    bench.command(name, help=f"{text}\n\n\b\noptuna-nas bench {name} --json")(JSON(command))


@bench.command()
@click.option(
    "--table", "path", required=True, type=click.Path(path_type=Path), help="A .npz or .csv file."
)
@click.option("--device", required=True, metavar="NAME", help="What the cost was measured on.")
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--budgets", default="10,20,50,100", show_default=True, metavar="B,B,...")
@click.option("--methods", metavar="NAME,NAME,...", help="By default all but peers.")
@click.option(
    "--low-rung",
    default="real",
    show_default=True,
    metavar="NAME",
    help="With shuffled, a network has before its end the errors of another one.",
)
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write a plot, as HTML.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Write the result, as JSON. Interrupted, the same command goes on.",
)
@click.option(
    "--peer-python",
    "pythons",
    multiple=True,
    metavar="PATH",
    help="Python of an environment with other tools; may be given more than once.",
)
@JSON
def search(
    path: Path,
    device: str,
    seeds: int,
    budgets: str,
    methods: str | None,
    low_rung: str,
    jobs: int,
    plot: Path | None,
    output: Path | None,
    pythons: tuple[str, ...],
    as_json: bool,
) -> None:
    """Replay searches on a table of trained networks: what front for how much training.

    \b
    optuna-nas bench search --table nb201_cifar10.npz --device gold_6226 \\
        --seeds 10 --budgets 10,20,50 --methods predictor,optuna-tpe,random
    """
    from optuna_nas.bench import search as replays
    from optuna_nas.bench.replay import METHODS

    try:
        given = [float(budget) for budget in budgets.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"expected numbers, got {budgets!r}", param_hint="--budgets"
        ) from None
    names = tuple(METHODS) if methods is None else tuple(methods.split(","))
    try:
        result = replays.run(path, device, seeds, given, names, jobs, output, pythons, low_rung)
    except (DataError, DescriptionError) as error:
        fail(error, 2)
    except KeyboardInterrupt:
        if output is not None:
            raise
        click.echo("interrupted; only with --output it could go on from here", err=True)
        raise SystemExit(130) from None
    if plot is not None:
        replays.figure(result).write_html(plot)
    _show(result, replays.table, as_json)


@bench.command()
@click.option(
    "--table", "path", type=click.Path(path_type=Path), help="Published NAS-Bench-201, .npz."
)
@JSON
def spaces(path: Path | None, as_json: bool) -> None:
    """Cost of drawing, building and identifying networks; built ones against hand-written ones.

    \b
    optuna-nas bench spaces --json
    optuna-nas bench spaces --table nb201_cifar10.npz
    """
    from optuna_nas.bench import spaces as measured

    try:
        result = measured.run(path)
    except (DataError, MeasurementError) as error:
        fail(error, 2)
    _show(result, measured.table, as_json)


@bench.command()
@click.option(
    "--space",
    "name",
    type=click.Choice(["cnn", "mobilenet"]),
    help="Of CNNs on the digits, or (the default) of MobileNets on Fashion-MNIST.",
)
@click.option("--smoke", is_flag=True, help="In minutes; by default of the CNNs.")
@click.option("--networks", default=30, show_default=True, type=click.IntRange(20))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write a plot, as HTML.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Write the result, as JSON. Interrupted, the same command goes on.",
)
@JSON
def supernet(
    name: str | None,
    smoke: bool,
    networks: int,
    seed: int,
    jobs: int,
    plot: Path | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """How a supernet ranks networks, against training each of them from scratch.

    \b
    optuna-nas bench supernet --smoke --json
    optuna-nas bench supernet --space mobilenet --output ranks.json --plot ranks.html
    """
    from optuna_nas.bench import supernet as ranks

    form = ranks.FORMS[name or ("cnn" if smoke else "mobilenet"), smoke]
    try:
        result = ranks.run(form, networks, seed, jobs, output)
    except (DataError, DescriptionError) as error:
        fail(error, 2)
    if plot is not None:
        ranks.figure(result).write_html(plot)
    _show(result, ranks.table, as_json)


@bench.command("one-shot")
@click.option("--candidates", default=400, show_default=True, type=click.IntRange(1))
@click.option("--trained", default=260, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@JSON
def one_shot(candidates: int, trained: int, seed: int, as_json: bool) -> None:
    """What a front costs with inherited weights, and by training each network from scratch.

    \b
    optuna-nas bench one-shot --seed 1 --json
    """
    from optuna_nas.bench.one_shot import bench_one_shot

    say = partial(click.echo, err=True)
    found = bench_one_shot(candidates=candidates, trained=trained, seed=seed, say=say)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        if isinstance(value, int | float | str):
            click.echo(f"{name}: {value}")


@bench.command()
@click.option("--smoke", is_flag=True, help="A run of seconds, whose figures mean nothing.")
@JSON
def differentiable(smoke: bool, as_json: bool) -> None:
    """Search by gradients against a random sample of trained networks, on the digits.

    \b
    optuna-nas bench differentiable --json
    """
    from optuna_nas.bench import differentiable as searches

    result = searches.run(**searches.SMOKE) if smoke else searches.run()
    _show(result, searches.table, as_json)


def _numbers(context: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    """Whole numbers with commas between them."""
    try:
        return [int(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"expected whole numbers such as 100,1000, got {value!r}"
        ) from None


@bench.command()
@click.option(
    "--trials",
    default="100,1000",
    show_default=True,
    metavar="N,N,...",
    callback=_numbers,
    help="Finished trials.",
)
@click.option("--workers", default="1,4", show_default=True, metavar="N,N,...", callback=_numbers)
@click.option(
    "--storage",
    "storages",
    multiple=True,
    default=("memory", "sqlite", "journal"),
    show_default=True,
    metavar="URL",
    help="memory, sqlite, journal, a path or URL, or grpc:URL for Optuna's proxy before a "
    "database; may be given more than once.",
)
@click.option("--samplers", metavar="NAME,NAME,...", help="By default all.")
@click.option("--seconds", default=2.0, show_default=True, help="Of each measurement.")
@JSON
def overhead(
    trials: list[int],
    workers: list[int],
    storages: tuple[str, ...],
    samplers: str | None,
    seconds: float,
    as_json: bool,
) -> None:
    """What a trial costs beside its training, on each storage, against plain Optuna.

    \b
    optuna-nas bench overhead --trials 100,1000,10000 --workers 1,4,16 --storage sqlite --json
    """
    from optuna_nas.bench import overhead as measured

    names = tuple(measured.PAIRS) if samplers is None else tuple(samplers.split(","))
    if unknown := sorted(set(names) - set(measured.PAIRS)):
        raise click.BadParameter(
            f"expected some of {', '.join(measured.PAIRS)}, got {unknown}", param_hint="--samplers"
        )
    try:
        result = measured.run(trials, workers, storages, names, seconds)
    except StudyError as error:
        fail(error, 2)
    _show(result, measured.table, as_json)


@bench.command()
@click.option(
    "--storage",
    default="sqlite",
    show_default=True,
    metavar="URL",
    help="sqlite, journal, or the URL of a storage, where a study is made and deleted.",
)
@click.option("--workers", default=4, show_default=True, type=click.IntRange(1))
@click.option("--kills", default=20, show_default=True, type=click.IntRange(0))
@click.option(
    "--restarts",
    default=3,
    show_default=True,
    type=click.IntRange(0),
    help="How often the storage goes away for seconds.",
)
@click.option(
    "--fills",
    default=3,
    show_default=True,
    type=click.IntRange(0),
    help="How often the disk of the workers is full for seconds.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@JSON
def faults(
    storage: str,
    workers: int,
    kills: int,
    restarts: int,
    fills: int,
    seed: int,
    as_json: bool,
) -> None:
    """Workers killed at random, their storage and disk taken away: what is lost.

    Says, too, what is done twice, stuck afterwards, and how long until a killed network goes on.

    \b
    optuna-nas bench faults --storage sqlite --workers 4 --kills 100 --json
    """
    from optuna_nas.bench import faults as disturbing

    try:
        result = disturbing.run(storage, workers, kills, restarts, fills, seed)
    except (DescriptionError, StudyError) as error:
        fail(error, 2)
    _show(result, disturbing.table, as_json)


_bench("pruner", "Cost of a pruning decision, and what pruning keeps of real learning curves.")
_bench("nsga2", "The conditional NSGA-II against Optuna's on a conditional space.")
_bench("latency", "Guarded latency beside other work, against plain medians.")
_bench("predictors", "Predicted latency on held-back networks, against what was measured.")
_bench("tax", "Time of a Search trial against a bare torch loop for the same steps.")
_bench("workers", "What a second worker brings, beside the share that only one at a time can do.")


def _show(result: Any, table: Callable[[Any], Any], as_json: bool) -> None:
    """Print a result as JSON, or as the table that is made of it."""
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        Console().print(table(result))
