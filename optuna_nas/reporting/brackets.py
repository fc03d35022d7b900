"""Which bracket of Hyperband each trial was in, from storage alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import optuna
from optuna.pruners import HyperbandPruner

from optuna_nas.exceptions import DescriptionError
from optuna_nas.pruners.pareto_hyperband import ParetoHyperband, bracket_of, bracket_sizes
from optuna_nas.study.budget import Budget
from optuna_nas.study.record import Record

__all__ = ["brackets"]

REDUCTION_FACTOR = 3
"""Of a search whose pruner is `hyperband`."""


def brackets(study: optuna.Study, everything: Sequence[Record]) -> dict[int, int]:
    """Number of a trial -> its bracket, of which 0 prunes earliest.

    Hyperband is recognised by the pruner of the study, or by the search that it was begun with;
    a network taken up again stays in the bracket of its first trial.

    Args:
        study: The study.
        everything: Its trials.

    Returns:
        Empty where the study has no Hyperband, or a single bracket.
    """
    sizes = _sizes(study)
    if len(sizes) < 2:
        return {}
    first: dict[int, int] = {}
    for record in everything:
        earlier = record.continues
        first[record.number] = record.number if earlier is None else first[earlier]
    return {number: bracket_of(study.study_name, root, sizes) for number, root in first.items()}


def _sizes(study: optuna.Study) -> tuple[int, ...]:
    least, most, factor = _ladder(study)
    if most == "auto":
        attrs = study._storage.get_study_system_attrs(study._study_id)
        most = attrs.get("nas:max_resource")
    if not isinstance(least, int) or not isinstance(most, int) or most < least:
        return ()
    return bracket_sizes(least, most, factor)


def _ladder(study: optuna.Study) -> tuple[Any, Any, int]:
    """Smallest and largest resource, and the factor between rungs; None where there is none."""
    pruner = study.pruner
    if isinstance(pruner, HyperbandPruner | ParetoHyperband):
        return pruner._min_resource, pruner._max_resource, pruner._reduction_factor
    described: Mapping[str, Any] = study.user_attrs.get("search") or {}
    said = described.get("pruner")
    if said == "hyperband":
        with suppress(DescriptionError, TypeError):  # a search of another version
            given = {k: v for k, v in described["fidelity"].items() if k != "class"}
            budget = Budget(**given)
            return budget.min_epochs, budget.max_epochs, REDUCTION_FACTOR
    if isinstance(said, Mapping) and "Hyperband" in str(said.get("class")):
        return said.get("min_resource"), said.get("max_resource"), said["reduction_factor"]
    return None, None, REDUCTION_FACTOR
