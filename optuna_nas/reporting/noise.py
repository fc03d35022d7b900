"""Which networks of a front are apart by more than the noise of their measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from optuna_nas.study.record import Record

__all__ = ["tied", "uncertainty"]


def uncertainty(record: Record, name: str) -> float | None:
    """Half-width of the 95 % confidence interval of a measured value, in its unit.

    It is the one recorded with the value; else 1.57 spread / sqrt(passes), where the spread is
    the interquartile range of the passes; else, the passes not being known, half the spread.

    Returns:
        None where the value has no spread: it is exact, or was taken once.

    Source: McGill, Tukey and Larsen 1978, doi:10.1080/00031305.1978.10479236 (notches: medians
    whose intervals do not overlap differ at about the 95 % level).
    """
    spread = record.spread(name)
    if not spread:
        return None
    measured = record.measurements[name]
    if "uncertainty" in measured:
        return float(measured["uncertainty"])
    passes = measured.get("passes")
    return 1.57 * spread / math.sqrt(passes) if passes else spread / 2


def tied(found: Sequence[Record]) -> dict[int, list[int]]:
    """Networks that the noise does not tell apart, by trial number.

    Two are tied where their confidence intervals overlap in every objective that has any.
    """
    ties: dict[int, list[int]] = {record.number: [] for record in found}
    for one, other in combinations(found, 2):
        if _overlap(one, other):
            ties[one.number].append(other.number)
            ties[other.number].append(one.number)
    return {number: sorted(others) for number, others in ties.items()}


def _overlap(one: Record, other: Record) -> bool:
    """Whether two networks have noisy objectives, and are within their noise in all of them."""
    noise = {name: (uncertainty(one, name), uncertainty(other, name)) for name in one.values}
    apart = [
        abs(one.values[name] - other.values[name]) > (mine or 0.0) + (theirs or 0.0)
        for name, (mine, theirs) in noise.items()
        if mine is not None or theirs is not None
    ]
    return bool(apart) and not any(apart)
