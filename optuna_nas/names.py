"""Choosing a part by its name, with an error that helps when there is none of that name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

from optuna_nas.exceptions import DescriptionError

__all__ = ["choose"]

T = TypeVar("T")


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
