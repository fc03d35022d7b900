"""What commands share: their options, the study file, and the study beside it."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import click
import cloudpickle

from optuna_nas.cli.group import debugging, fail
from optuna_nas.exceptions import NASError, StudyError
from optuna_nas.names import file_name, sqlite_url

if TYPE_CHECKING:
    import optuna

    from optuna_nas.study import Search

__all__ = [
    "JSON",
    "SMOKE",
    "STORAGE",
    "STUDY",
    "load_file",
    "load_search",
    "load_study",
    "open_named",
    "open_study",
    "search_of",
    "storage_url",
    "with_workers",
]

STUDY = click.argument("file", metavar="STUDY.py", type=click.Path(path_type=Path))
STORAGE = click.option(
    "--storage",
    metavar="URL",
    envvar="OPTUNA_NAS_STORAGE",
    help="Where the study is; by default NAME.db beside STUDY.py.",
)
_WORKERS = (
    click.option(
        "--workers",
        "count",
        metavar="N",
        type=click.IntRange(1),
        help="Run trials in N processes.",
    ),
    click.option(
        "--per-device",
        metavar="K",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Processes that share a GPU.",
    ),
    click.option(
        "--launcher",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Where the processes are: on this host, or in a Ray cluster.",
    ),
    click.option("--address", metavar="ADDRESS", help="Of the Ray cluster, such as auto."),
)
SMOKE = click.option("--smoke", is_flag=True, help="The same search in seconds, as NAME-smoke.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def with_workers(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `Workers`, as one argument `workers`."""

    @wraps(command)
    def called(
        count: int | None, per_device: int, launcher: str, address: str | None, **others: Any
    ) -> None:
        from optuna_nas.study.workers import Workers

        wanted = count or (1 if launcher != "local" else None)
        workers = Workers(wanted, per_device, launcher, address) if wanted else None
        command(workers=workers, **others)

    for option in reversed(_WORKERS):
        called = option(called)
    return called


def load_file(file: Path, hint: str) -> ModuleType:
    """Run a Python file of the user's as a module.

    Args:
        file: The file.
        hint: Name of the parameter that errors speak of.
    """
    if not file.is_file():
        raise click.BadParameter(f"{file} {_absent(file)}", param_hint=hint)
    # Before its folder is looked in, where a file may have the name of what PyTorch looks for.
    importlib.import_module("optuna_nas.study.search")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise click.BadParameter(f"{file} is not a Python file", param_hint=hint)
    sys.path.insert(0, str(file.resolve().parent))  # as `python STUDY.py` does
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(file.stem, module)
    try:
        spec.loader.exec_module(module)
    except NASError as error:
        _forget(module)
        fail(error, 2)
    except Exception as error:
        _forget(module)
        if debugging():
            raise
        raise click.BadParameter(
            f"{file} cannot be loaded: {type(error).__name__}: {error}", param_hint=hint
        ) from error
    if sys.modules.get(file.stem) is module:  # other processes are sent what was loaded here
        cloudpickle.register_pickle_by_value(module)
    return module


def _forget(module: ModuleType) -> None:
    """Leave no module behind that was loaded half."""
    if sys.modules.get(module.__name__) is module:
        del sys.modules[module.__name__]


def _absent(file: Path) -> str:
    """What is wrong with a path that is not a file, and what might be meant."""
    if file.is_dir():
        return "is a folder; name a file in it"
    beside = [path.name for path in file.parent.glob("*.py")]
    close = difflib.get_close_matches(file.name, beside, n=1)
    hint = f"; did you mean {file.with_name(close[0])}?" if close else ""
    return f"does not exist{hint}"


def load_search(file: Path, smoke: bool) -> Search:
    """Load the `search` that a study file defines."""
    return search_of(load_file(file, "STUDY.py"), file, smoke)


def search_of(module: ModuleType, file: Path, smoke: bool) -> Search:
    """The `search` that a study file defines, once it is loaded."""
    from optuna_nas.study import Search

    search = getattr(module, "search", None)
    if not isinstance(search, Search):
        raise click.BadParameter(
            f"expected {file} to define `search = optuna_nas.Search(...)`, got {search!r}",
            param_hint="STUDY.py",
        )
    return search.as_smoke() if smoke else search


def storage_url(file: Path, search: Search, storage: str | None) -> str:
    """Where the study is: what the user said, or an SQLite file beside the study file."""
    return storage or sqlite_url(file.with_name(file_name(search.name, ".db")).resolve())


def load_study(file: Path, storage: str | None, smoke: bool) -> optuna.Study:
    """Open the study of a study file, to look at it."""
    search = load_search(file, smoke)
    return open_study(search, storage_url(file, search, storage))


def open_study(search: Search, url: str) -> optuna.Study:
    """Open the study of a search that is there; looking never creates a file."""
    return open_named(search.name, url)


def open_named(name: str, url: str) -> optuna.Study:
    """Open a study by its name, where it is there."""
    from optuna_nas.study.resuming import load

    path = unquote(re.sub(r"\?.*", "", url).removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not Path(path).exists():
        raise StudyError(f"expected a study in {path}, got no such file; run it first")
    return load(name, url)
