"""Asynchronous successive halving with any number of objectives."""

from __future__ import annotations

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

from optuna_nas.exceptions import DescriptionError
from optuna_nas.pruners.curve import latest
from optuna_nas.pruners.lineages import Lineages
from optuna_nas.pruners.rungs import (
    Ladder,
    check_at_least,
    check_resource,
    climb,
    estimate,
)

__all__ = ["ParetoSuccessiveHalving"]


class ParetoSuccessiveHalving(BasePruner):
    """Promotes at each rung the best 1/`reduction_factor` of the trials that have reached it.

    Best is: in the first non-dominated layers, and within a layer those that add most hypervolume;
    a tenth of the range of one objective weighs as much as the whole range of another.
    With one objective every decision is that of `optuna.pruners.SuccessiveHalvingPruner`.

    Args:
        min_resource: Step of the first rung; "auto" takes a hundredth of the longest complete
            trial, once the study has one.
        reduction_factor: Share of trials promoted at a rung, and ratio of the steps of two rungs.
        min_early_stopping_rate: Rungs left out at the start.
        bootstrap_count: Trials that must complete a rung before any is promoted from it.

    Raises:
        DescriptionError: An argument is out of its range.

    Source: Li et al. 2020, arXiv:1810.05934.
    """

    def __init__(
        self,
        min_resource: int | str = "auto",
        reduction_factor: int = 4,
        min_early_stopping_rate: int = 0,
        bootstrap_count: int = 0,
    ) -> None:
        check_resource("min_resource", min_resource)
        check_at_least("reduction_factor", reduction_factor, 2)
        check_at_least("min_early_stopping_rate", min_early_stopping_rate, 0)
        check_at_least("bootstrap_count", bootstrap_count, 0)
        if bootstrap_count and min_resource == "auto":
            raise DescriptionError(
                "expected an integer min_resource beside bootstrap_count, "
                f"got min_resource='auto', bootstrap_count={bootstrap_count}"
            )
        self._min_resource = min_resource
        self._reduction_factor = reduction_factor
        self._min_early_stopping_rate = min_early_stopping_rate
        self._bootstrap_count = bootstrap_count

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial should stop, judged by its last report."""
        first = self._first_resource(study, trial)
        if first is None:
            return False
        rate, count = self._min_early_stopping_rate, self._bootstrap_count
        ladder = Ladder(first, self._reduction_factor, rate, count)
        return climb(study, trial, ladder, Lineages(study), _only)

    def _first_resource(self, study: optuna.Study, trial: FrozenTrial) -> int | None:
        if isinstance(self._min_resource, int):
            return self._min_resource
        if latest(trial, len(study.directions)) is None:
            return None
        return estimate(study, "nas:min_resource", lambda last: max(last // 100, 1))


def _only(first: int) -> int:
    """The one bracket that there is."""
    return 0
