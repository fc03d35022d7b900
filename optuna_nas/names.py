"""Parts known by a name: registering them, and choosing one with an error that helps.

And names of files, whatever what they are called after is called.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from optuna_nas.exceptions import DescriptionError

__all__ = ["choose", "file_name", "registrar", "sqlite_url"]

T = TypeVar("T")
C = TypeVar("C", bound=type[Any])


def registrar(kind: str, known: dict[str, Any]) -> Callable[[str], Callable[[C], C]]:
    """Make the decorator `register(name)` that adds classes to `known`.

    A class defined again, as when a notebook's cell is run twice, replaces itself; a name that
    belongs to another class is a DescriptionError.

    Args:
        kind: What is registered, for the error: `block`, `space` ...
        known: Everything registered by name.
    """

    def register(name: str) -> Callable[[C], C]:
        def add(cls: C) -> C:
            owner = known.setdefault(name, cls)
            if (owner.__module__, owner.__qualname__) != (cls.__module__, cls.__qualname__):
                raise DescriptionError(
                    f"expected an unused name of a {kind}, got {name!r}, which is "
                    f"{owner.__qualname__} of {owner.__module__}; choose another name"
                )
            known[name] = cls
            return cls

        return add

    return register


def choose(kind: str, name: str, known: Mapping[str, T]) -> T:
    """Return `known[name]`.

    Args:
        kind: What is chosen, for the error: `sampler`, `objective` ...
        name: The name that was asked for.
        known: Everything there is by name.

    Raises:
        DescriptionError: There is none of that name; the error lists the names there are.
    """
    if isinstance(name, str) and name in known:
        return known[name]
    close = difflib.get_close_matches(str(name).lower(), known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise DescriptionError(
        f"expected a {kind} among {', '.join(sorted(known))}, got {name!r}{hint}"
    )


def file_name(study: str, suffix: str) -> str:
    """Name of a file of a study, which lies in no other folder, whatever the study is called.

    Args:
        study: Name of the study.
        suffix: What kind of file, such as `.db`.
    """
    return re.sub(r"[/\\]", "_", study) + suffix


def sqlite_url(path: Path) -> str:
    """URL of an SQLite file, whatever characters its path has."""
    return f"sqlite:///{re.sub(r'[%?]', lambda found: quote(found[0]), str(path))}"
