"""Restrict a space to kinds of blocks, such as those that a backend can run.

A space says which kinds it chooses from and which it always has; `allowed=None` restricts nothing.
The head, a mean and a linear layer, is in every network and never restricted.
"""

from __future__ import annotations

from collections.abc import Iterable

from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces.choice import check_options

__all__ = ["check_allowed", "restrict"]


def check_allowed(allowed: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return the kinds as a tuple, or None.

    Raises:
        SpaceError: No kind, a repeated one, or one that no registered block has.
    """
    if allowed is None:
        return None
    from optuna_nas.blocks import BLOCKS  # only here: blocks load torch

    return check_options("allowed", allowed, sorted(BLOCKS))


def restrict(
    operators: tuple[str, ...], allowed: tuple[str, ...] | None, always: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return those operators that are allowed.

    Args:
        operators: Kinds that a space chooses from.
        allowed: Kinds, from `check_allowed`.
        always: Kinds that every network of the space has.

    Raises:
        SpaceError: None is left, or one that is always there is not allowed.
    """
    if allowed is None:
        return operators
    if missing := sorted(set(always) - set(allowed)):
        raise SpaceError(
            f"expected allowed to hold {', '.join(map(repr, missing))}, which every network of "
            f"the space has, got {allowed}; add it, or choose another space"
        )
    left = tuple(operator for operator in operators if operator in allowed)
    if not left:
        raise SpaceError(f"expected allowed to hold one at least of {operators}, got {allowed}")
    return left
