"""Which trial goes on at a rung, with one objective or several.

    report(trial, step, values) -> storage -> should_prune(trial) -> go on, or stop

`ParetoHyperband`, `ParetoSuccessiveHalving` and `LearningCurve` are Optuna pruners;
`PruningCallback` reports to them from Lightning. What they need is in storage: any number of
workers and a resumed study decide as one process would.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from optuna.pruners import BasePruner, NopPruner

from optuna_nas.names import choose
from optuna_nas.pruners.curve import curve, report, should_prune
from optuna_nas.pruners.freeze_thaw import FreezeThaw
from optuna_nas.pruners.learning_curve import LearningCurve
from optuna_nas.pruners.pareto_hyperband import ParetoHyperband
from optuna_nas.pruners.pareto_successive_halving import ParetoSuccessiveHalving

if TYPE_CHECKING:
    from optuna_nas.pruners.callback import PruningCallback

__all__ = [
    "FreezeThaw",
    "LearningCurve",
    "ParetoHyperband",
    "ParetoSuccessiveHalving",
    "PruningCallback",
    "by_name",
    "curve",
    "report",
    "should_prune",
]


NAMES: dict[str, Callable[[int, int], BasePruner]] = {
    "freeze-thaw": lambda least, most: FreezeThaw([least], end=most),
    "hyperband": lambda least, most: ParetoHyperband(min_resource=least, max_resource=most),
    "learning-curve": lambda least, most: LearningCurve(warmup=least),
    "none": lambda least, most: NopPruner(),
}


def by_name(name: str, min_resource: int, max_resource: int) -> BasePruner:
    """Make the pruner of that name: "hyperband", "learning-curve" or "freeze-thaw", or "none".

    Args:
        name: The name.
        min_resource: Epochs before it may first judge a network.
        max_resource: Epochs of a full training.

    Raises:
        DescriptionError: If there is no pruner of that name.
    """
    return choose("pruner", name, NAMES)(min_resource, max_resource)


def __getattr__(name: str) -> Any:
    if name == "PruningCallback":  # it alone needs Lightning
        from optuna_nas.pruners.callback import PruningCallback

        return PruningCallback
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
