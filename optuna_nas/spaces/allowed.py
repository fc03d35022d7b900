"""Restrict a space to kinds of blocks, such as those that a backend can run.

A space says which kinds it chooses from and which it needs; `allowed=None` restricts nothing. The
head, which ends every network, is never restricted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces.choice import check_options

__all__ = ["check_allowed", "restrict"]


_Operator = TypeVar("_Operator", str, int)


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
    operators: tuple[_Operator, ...],
    allowed: tuple[str, ...] | None,
    always: Iterable[str] = (),
    kinds: Mapping[_Operator, str] | None = None,
) -> tuple[_Operator, ...]:
    """Return those operators that are allowed.

    Args:
        operators: What a space chooses from.
        allowed: Kinds, from `check_allowed`.
        always: Kinds that the space needs whatever is chosen.
        kinds: Operator -> the kind that builds it, of those that need a block; by default the
            operators are kinds.

    Raises:
        SpaceError: None is left, or one that is needed is not allowed.
    """
    if allowed is None:
        return operators
    if missing := sorted(set(always) - set(allowed)):
        raise SpaceError(
            f"expected allowed to hold {', '.join(map(repr, missing))}, which this space cannot "
            f"do without, got {allowed}; add it, or choose another space"
        )
    built = {o: str(o) for o in operators} if kinds is None else kinds
    left = tuple(o for o in operators if o not in built or built[o] in allowed)
    if not left:
        legal = tuple(dict.fromkeys(built[o] for o in operators))
        raise SpaceError(
            f"expected allowed to hold one at least of {legal}, got {allowed}, which leaves "
            f"none of {operators}"
        )
    return left
