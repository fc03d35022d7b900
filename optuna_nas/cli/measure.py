"""Commands that measure: any network, or the front of a study again."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click
from rich.console import Console

from optuna_nas.cli.files import (
    JSON,
    SMOKE,
    STORAGE,
    STUDY,
    load_file,
    load_search,
    open_study,
    storage_url,
)
from optuna_nas.cli.group import debugging, main
from optuna_nas.exceptions import DescriptionError, MeasurementError

if TYPE_CHECKING:
    from torch import nn

    from optuna_nas.objectives import Candidate, Objective

DEFAULT = ("latency", "parameters", "flops")
FACTORY = "PATH:FACTORY"


class _How(NamedTuple):
    """How to measure, where an objective has a say in it."""

    batch: int
    threads: int
    precision: str
    device: str


@main.command()
@click.argument("network", metavar=FACTORY)
@click.option("--input", "shape", metavar="B,C,H,W", required=True, help="Shape, batch first.")
@click.option("--objective", "names", metavar="NAME", multiple=True, help="Default: latency, ...")
@click.option("--backend", "backends", metavar="NAME", multiple=True, help="Default: eager.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1))
@click.option("--precision", metavar="NAME", default="fp32", show_default=True)
@click.option("--device", metavar="NAME", default="cpu", show_default=True, help="Or cuda:0.")
@JSON
def measure(
    network: str,
    shape: str,
    names: Sequence[str],
    backends: Sequence[str],
    threads: int,
    precision: str,
    device: str,
    as_json: bool,
) -> None:
    """Measure a network of your own with the care of a search.

    FACTORY in the file or module PATH is a torch.nn.Module, its class, or a function, called
    without arguments. --objective and --backend may be given several times; without them latency,
    parameters and FLOPs are taken, in eager PyTorch.

    \b
    optuna-nas measure models/net.py:Net --input 1,3,224,224
    optuna-nas measure models/net.py:Net --input 1,3,224,224 --backend eager --backend onnxruntime
    """
    from optuna_nas.measuring.device import fingerprint, versions
    from optuna_nas.objectives import Candidate
    from optuna_nas.reporting import measurements_table

    size = _shape(shape)
    how = _How(size[0], threads, precision, device)
    objectives = list(_objectives(names or DEFAULT, backends or ("eager",), how))
    module = _network(network)
    _try(module, size)
    candidate = Candidate(module, size[1:])
    found = [_measured(objective, candidate) for objective in objectives]
    if as_json:
        result = {
            "network": network,
            "input": size,
            "measurements": found,
            "device": fingerprint(device),
            "versions": versions(),
        }
        click.echo(json.dumps(result, indent=2))
    else:
        Console().print(measurements_table(found, f"{network} on {shape}"))
    if any("error" in item for item in found):
        raise SystemExit(1)


@main.command()
@STUDY
@STORAGE
@SMOKE
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Of each.")
@JSON
def remeasure(file: Path, storage: str | None, smoke: bool, rounds: int, as_json: bool) -> None:
    """Measure the front again, round by round, and say whether its order stands.

    The trials stay as they are; the result is kept with the study and shown in the report.

    \b
    optuna-nas remeasure studies/digits_cnn.py --rounds 5
    """
    from optuna_nas.reporting import front, remeasured_tables
    from optuna_nas.study.remeasure import remeasure as measure_again

    search = load_search(file, smoke)
    study = open_study(search, storage_url(file, search, storage))
    numbers = [record.number for record in front(study)]
    with Console(stderr=True).status("measuring") as shown:
        found = measure_again(
            search, study, numbers, rounds, lambda done, of: shown.update(f"measured {done}/{of}")
        )
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        Console().print(*remeasured_tables(found))


def _shape(text: str) -> tuple[int, ...]:
    try:
        size = tuple(int(number) for number in text.split(","))
        if len(size) < 2 or min(size) < 1:
            raise ValueError
    except ValueError:
        raise click.BadParameter(
            f"expected whole numbers such as 1,3,224,224, the batch first, got {text!r}",
            param_hint="--input",
        ) from None
    return size


def _objectives(names: Sequence[str], backends: Sequence[str], how: _How) -> Iterator[Objective]:
    """The objectives asked for, each on every backend that it can be measured on."""
    from optuna_nas.names import choose
    from optuna_nas.objectives import NAMES, STAGES

    for name in names:
        made = choose("objective", name, NAMES)()
        if made.stage == STAGES[-1]:
            raise DescriptionError(
                f"expected objectives of an untrained network, got {name!r}, which training tells"
            )
        options = {key: value for key, value in how._asdict().items() if hasattr(made, key)}
        several = backends if hasattr(made, "backend") else (None,)
        for backend in several:
            on: dict[str, Any] = {} if backend is None else {"backend": backend}
            objective = replace(made, **options, **on)
            try:
                objective.check()
            except MeasurementError as error:
                raise DescriptionError(f"{name} cannot be measured here: {error}") from error
            yield objective


def _measured(objective: Objective, candidate: Candidate) -> dict[str, Any]:
    from optuna_nas.study.record import noted

    named = {"name": objective.name, "unit": objective.unit}
    try:
        return named | noted(objective, objective(candidate))
    except MeasurementError as error:
        backend = getattr(objective, "backend", None)
        return named | ({"backend": backend} if backend else {}) | {"error": str(error)}


def _network(text: str) -> nn.Module:
    """The network that PATH:FACTORY names."""
    import torch
    from torch import nn

    path, _, factory = text.rpartition(":")
    if not path or not factory:
        raise click.BadParameter(
            f"expected {FACTORY}, such as models/net.py:Net, got {text!r}", param_hint=FACTORY
        )
    made = _loaded(path)
    try:
        for name in factory.split("."):
            made = getattr(made, name)
    except AttributeError:
        raise click.BadParameter(f"{path} has no {factory!r}", param_hint=FACTORY) from None
    if not isinstance(made, nn.Module) and callable(made):
        torch.manual_seed(0)
        try:
            made = made()
        except Exception as error:
            _refuse(f"{factory}() cannot be called without arguments", error)
    if not isinstance(made, nn.Module):
        raise click.BadParameter(
            f"expected {factory} to give a torch.nn.Module, got {type(made).__name__}",
            param_hint=FACTORY,
        )
    return made


def _loaded(path: str) -> Any:
    """A module from its file, with or without `.py`, or by its dotted name."""
    for file in (Path(path), Path(f"{path}.py")):
        if file.suffix == ".py" and (file.is_file() or str(file) == path):
            return load_file(file, FACTORY)
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
    try:
        return importlib.import_module(path)
    except Exception as error:
        _refuse(f"{path} is neither a file nor a module that can be loaded", error)


def _refuse(what: str, error: Exception, hint: str = FACTORY) -> NoReturn:
    if debugging():
        raise error
    raise click.BadParameter(
        f"{what}: {type(error).__name__}: {error}", param_hint=hint
    ) from error


def _try(network: nn.Module, size: tuple[int, ...]) -> None:
    """Run a network once, so that an input that does not fit is told from all else."""
    import torch

    from optuna_nas.objectives.candidate import evaluating

    try:
        with evaluating(network), torch.no_grad():
            network(torch.zeros(size))
    except Exception as error:
        _refuse(f"the network does not take inputs of shape {size}", error, "--input")
