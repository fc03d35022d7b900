"""Hyperband with any number of objectives."""

from __future__ import annotations

import binascii
import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

from optuna_nas.exceptions import DescriptionError
from optuna_nas.pruners.lineages import Lineages
from optuna_nas.pruners.rungs import (
    Ladder,
    check_at_least,
    check_resource,
    climb,
    estimate,
)

__all__ = ["ParetoHyperband"]


class ParetoHyperband(BasePruner):
    """Spreads the trials over brackets of successive halving, from eager to patient.

    Every bracket ranks as `ParetoSuccessiveHalving`. With one objective every decision is that of
    `optuna.pruners.HyperbandPruner`. A trial's bracket depends on the study's name and the number
    of the trial that it continues, or its own: name the study.

    Args:
        min_resource: Step of the first rung of the most eager bracket.
        max_resource: Longest training; "auto" takes that of the longest complete trial, once the
            study has one.
        reduction_factor: Share of trials promoted at a rung, and ratio of the steps of two rungs.
        bootstrap_count: Trials that must complete a rung before any is promoted from it.

    Raises:
        DescriptionError: An argument is out of its range.

    Source: Li et al. 2018, arXiv:1603.06560; Li et al. 2020, arXiv:1810.05934.
    """

    def __init__(
        self,
        min_resource: int = 1,
        max_resource: int | str = "auto",
        reduction_factor: int = 3,
        bootstrap_count: int = 0,
    ) -> None:
        check_at_least("min_resource", min_resource, 1)
        check_resource("max_resource", max_resource)
        check_at_least("reduction_factor", reduction_factor, 2)
        check_at_least("bootstrap_count", bootstrap_count, 0)
        if isinstance(max_resource, int) and max_resource < min_resource:
            raise DescriptionError(
                f"expected max_resource >= min_resource, got max_resource={max_resource}, "
                f"min_resource={min_resource}; lower min_resource or train longer"
            )
        if bootstrap_count and max_resource == "auto":
            raise DescriptionError(
                "expected an integer max_resource beside bootstrap_count, "
                f"got max_resource='auto', bootstrap_count={bootstrap_count}"
            )
        self._min_resource = min_resource
        self._max_resource = max_resource
        self._reduction_factor = reduction_factor
        self._bootstrap_count = bootstrap_count

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial should stop, judged by its last report."""
        longest = self._longest(study)
        if longest is None:
            return False
        sizes = bracket_sizes(self._min_resource, longest, self._reduction_factor)
        lineages = Lineages(study)
        bracket = _Brackets(study.study_name, sizes)
        rate = bracket(lineages.root(trial))
        ladder = Ladder(self._min_resource, self._reduction_factor, rate, self._bootstrap_count)
        return climb(study, trial, ladder, lineages, bracket)

    def _longest(self, study: optuna.Study) -> int | None:
        """Longest training in steps; None as long as it is unknown or ends before any rung."""
        longest: int | None
        if isinstance(self._max_resource, int):
            longest = self._max_resource
        else:
            longest = estimate(study, "nas:max_resource", lambda last: last + 1)
        return longest if longest is not None and longest >= self._min_resource else None


@dataclass(frozen=True)
class _Brackets:
    """The brackets of one study."""

    study_name: str
    sizes: tuple[int, ...]

    def __call__(self, number: int) -> int:
        return bracket_of(self.study_name, number, self.sizes)


@lru_cache
def bracket_sizes(min_resource: int, max_resource: int, reduction_factor: int) -> tuple[int, ...]:
    """Relative number of trials in each bracket, the most eager first, as Optuna shares them."""
    brackets = math.floor(math.log(max_resource / min_resource, reduction_factor)) + 1
    return tuple(
        math.ceil(brackets * reduction_factor**halvings / (halvings + 1))
        for halvings in reversed(range(brackets))
    )


def bracket_of(study_name: str, number: int, sizes: tuple[int, ...]) -> int:
    """Bracket of a trial, by the hash that Optuna uses."""
    place = binascii.crc32(f"{study_name}_{number}".encode()) % sum(sizes)
    return bisect_right(list(accumulate(sizes)), place)
