"""The command line: parse, call the library, print.

Exit codes: 0 done, 1 the search failed, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import json
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
from rich.console import Console

from optuna_nas import __version__
from optuna_nas.exceptions import DataError, DescriptionError, NASError, SearchStopped, StudyError

if TYPE_CHECKING:
    import optuna

    from optuna_nas.study import Search

__all__ = ["main"]

F = TypeVar("F", bound=Callable[..., Any])

STUDY = click.argument("file", metavar="STUDY.py", type=click.Path(path_type=Path))
STORAGE = click.option(
    "--storage", metavar="URL", help="Where the study is; by default NAME.db beside STUDY.py."
)
SMOKE = click.option("--smoke", is_flag=True, help="The same search in seconds, as NAME-smoke.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


class _Group(click.Group):
    """Ends every error the user can act on with one readable line and the right exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (DescriptionError, DataError) as error:
            _fail(error, 2)
        except SearchStopped as error:
            _fail(error, 1)
        except StudyError as error:
            _fail(error, 2)
        except NASError as error:
            _fail(error, 1)
        except KeyboardInterrupt:
            click.echo("interrupted; run the same command again to go on", err=True)
            raise SystemExit(130) from None


def _fail(error: NASError, code: int) -> NoReturn:
    if click.get_current_context().find_root().params.get("debug"):
        raise error
    click.echo(f"error: {error}", err=True)
    raise SystemExit(code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="optuna-nas")
@click.option("--debug", is_flag=True, help="Show tracebacks, and the logs of the libraries.")
def main(debug: bool) -> None:
    """Neural architecture search: Pareto fronts of trained networks, in Optuna studies.

    \b
    optuna-nas run studies/digits_cnn.py         start a search, or go on with it
    optuna-nas front studies/digits_cnn.py       the front found so far
    optuna-nas dashboard studies/digits_cnn.py   look at the study in the browser
    """
    if hasattr(signal, "SIGUSR1") and sys.__stderr__:  # `kill -USR1 PID` shows where a run is
        faulthandler.register(signal.SIGUSR1, file=sys.__stderr__)
    level = logging.INFO if debug else logging.ERROR
    logging.basicConfig(level=level if debug else logging.WARNING, stream=sys.stderr)
    import optuna

    optuna.logging.set_verbosity(level)


@main.command()
@STUDY
@click.option("--trials", metavar="N", type=click.IntRange(0), help="New trials; 0 only prints.")
@STORAGE
@click.option("--timeout", metavar="S", type=float, help="Begin no trial after S seconds.")
@click.option("--seed", metavar="N", type=click.IntRange(0), help="Seed of a new study.")
@SMOKE
@JSON
def run(
    file: Path,
    trials: int | None,
    storage: str | None,
    timeout: float | None,
    seed: int | None,
    smoke: bool,
    as_json: bool,
) -> None:
    """Start the search that STUDY.py describes, or go on with it.

    Prints the front at the end and writes an HTML report beside STUDY.py. Ctrl-C ends it cleanly;
    the same command goes on.

    \b
    optuna-nas run studies/digits_cnn.py --trials 50
    """
    search = _search(file, smoke)
    if seed is not None:
        search = replace(search, seed=seed)
    url = storage or _beside(file, search, "db")
    if trials == 0:
        _print_front(_load(search, url), as_json)
        return
    study = search.study(url)
    try:
        _optimise(search, study, trials, timeout, Console(stderr=as_json))
    finally:
        _print_front(study, as_json)
        _write_report(study, file.with_name(f"{search.name}.html"))


def _optimise(
    search: Search,
    study: optuna.Study,
    trials: int | None,
    timeout: float | None,
    console: Console,
) -> None:
    from optuna_nas.reporting import LiveView

    count = search.trials if trials is None else trials
    interrupts = _Interrupts()

    def on_epoch(trial: int, epoch: int, values: Mapping[str, float]) -> None:
        interrupts.check()
        view.epoch(trial, epoch, values)

    with LiveView(study, count, timeout, console) as view:
        search.run(
            trials=count,
            storage=study._storage,
            timeout=timeout,
            callbacks=[view.update, interrupts.check],
            on_epoch=on_epoch,
        )


class _Interrupts:
    """Ctrl-C and SIGTERM as KeyboardInterrupt, once no storage is being read or written."""

    def __init__(self) -> None:
        self.caught = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._raise)

    def check(self, *_: object) -> None:
        """Raise what was lost: Python drops an exception raised while it runs a finaliser."""
        if self.caught:
            raise KeyboardInterrupt

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.caught = True
        while frame is not None:
            if any(name in frame.f_code.co_filename for name in ("sqlalchemy", "storages")):
                threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
                return
            frame = frame.f_back
        raise KeyboardInterrupt


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
    search = _search(file, smoke)
    _print_front(_load(search, storage or _beside(file, search, "db")), as_json)


@main.command()
@STUDY
@STORAGE
@SMOKE
@click.option("--count", default=3, show_default=True, type=click.IntRange(1), help="How many.")
@JSON
def finalists(file: Path, storage: str | None, smoke: bool, count: int, as_json: bool) -> None:
    """Choose networks spread along the front, to be retrained.

    \b
    optuna-nas finalists studies/digits_cnn.py --count 3
    """
    from optuna_nas.finalists import select
    from optuna_nas.reporting import front_json, networks_table

    search = _search(file, smoke)
    study = _load(search, storage or _beside(file, search, "db"))
    chosen = select(study, count)
    if as_json:
        numbers = {record.number for record in chosen}
        found = [network for network in front_json(study) if network["number"] in numbers]
        click.echo(json.dumps(found, indent=2))
    else:
        Console().print(networks_table(chosen, study))


@main.command()
@STUDY
@STORAGE
@SMOKE
@click.option("--output", type=click.Path(path_type=Path), help="By default NAME.html beside it.")
def report(file: Path, storage: str | None, smoke: bool, output: Path | None) -> None:
    """Write a self-contained HTML report.

    \b
    optuna-nas report studies/digits_cnn.py --output front.html
    """
    search = _search(file, smoke)
    study = _load(search, storage or _beside(file, search, "db"))
    _write_report(study, output or file.with_name(f"{search.name}.html"))


@main.command()
@STUDY
@STORAGE
@SMOKE
@JSON
def status(file: Path, storage: str | None, smoke: bool, as_json: bool) -> None:
    """Say how far the search is: trials by outcome, epochs spent, hypervolume.

    \b
    optuna-nas status studies/digits_cnn.py
    """
    from optuna_nas.reporting import status as summary

    search = _search(file, smoke)
    values = summary(_load(search, storage or _beside(file, search, "db")))
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    width = max(map(len, values))
    for name, value in values.items():
        click.echo(f"{name:<{width}}  {value}")


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

    search = _search(file, smoke)
    study = _load(search, storage or _beside(file, search, "db"))
    serve(study._storage, port=port, open_browser=browser)


@main.group()
def bench() -> None:
    """Compare this tool with others on this machine, in one run, as ratios."""


def _bench(name: str, text: str) -> None:
    def command(as_json: bool) -> None:
        module = importlib.import_module(f"optuna_nas.bench.{name}")
        result = module.run()
        if as_json:
            click.echo(json.dumps(result, indent=2))
        else:
            Console().print(module.table(result))

    bench.command(name, help=f"{text}\n\n\b\noptuna-nas bench {name} --json")(JSON(command))


_bench("pruner", "Cost of a pruning decision, and what pruning keeps of real learning curves.")
_bench("nsga2", "The conditional NSGA-II against Optuna's on a conditional space.")
_bench("tax", "Time of a Search trial against a bare torch loop for the same steps.")


def _search(file: Path, smoke: bool) -> Search:
    """Load the `search` that a study file defines."""
    from optuna_nas.study import Search

    if not file.is_file():
        raise click.BadParameter(f"{file} does not exist", param_hint="STUDY.py")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise click.BadParameter(f"{file} is not a Python file", param_hint="STUDY.py")
    sys.path.insert(0, str(file.resolve().parent))  # as `python STUDY.py` does
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(file.stem, module)
    try:
        spec.loader.exec_module(module)
    except NASError as error:
        _fail(error, 2)
    except Exception as error:
        if click.get_current_context().find_root().params.get("debug"):
            raise
        raise click.BadParameter(
            f"{file} cannot be loaded: {type(error).__name__}: {error}", param_hint="STUDY.py"
        ) from error
    search = getattr(module, "search", None)
    if not isinstance(search, Search):
        raise click.BadParameter(
            f"expected {file} to define `search = optuna_nas.Search(...)`, got {search!r}",
            param_hint="STUDY.py",
        )
    return search.as_smoke() if smoke else search


def _beside(file: Path, search: Search, suffix: str) -> str:
    return f"sqlite:///{file.with_name(f'{search.name}.{suffix}').resolve()}"


def _load(search: Search, url: str) -> optuna.Study:
    from optuna_nas.study.storage import load

    path = re.sub(r"\?.*", "", url).removeprefix("sqlite:///")
    if url.startswith("sqlite:///") and not Path(path).exists():  # looking must not create it
        raise StudyError(f"expected a study in {path}, got no such file; run it first")
    return load(search.name, url)


def _print_front(study: optuna.Study, as_json: bool) -> None:
    from optuna_nas.reporting import front_json, front_table

    if as_json:
        click.echo(json.dumps(front_json(study), indent=2))
    else:
        Console().print(front_table(study))


def _write_report(study: optuna.Study, path: Path) -> None:
    from optuna_nas.reporting import write_report

    write_report(study, path)
    click.echo(f"report: {path}", err=True)
