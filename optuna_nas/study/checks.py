"""Whether the parts of a search fit together, before anything is run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lightning.pytorch import LightningDataModule

from optuna_nas.exceptions import DescriptionError
from optuna_nas.objectives import Recall
from optuna_nas.objectives.registry import each_once
from optuna_nas.pruners.curve import check_pruner
from optuna_nas.spaces import Joint
from optuna_nas.study.bucket import url_of
from optuna_nas.study.estimator import Estimator
from optuna_nas.study.hyperparameters import check_hyperparameters

if TYPE_CHECKING:
    from optuna_nas.study.definition import Definition

__all__ = ["check_parts"]


def check_parts(search: Definition) -> None:
    """Refuse a search whose parts do not fit together.

    Raises:
        DescriptionError: Says which.
    """
    _check_kinds(search)
    _check_numbers(search)
    if isinstance(search.space, Joint):
        check_hyperparameters(search.space.hyperparameters, search.module, search.data)
    _check_objectives(search)
    search.make_sampler()
    if len(search.optimised) > 1:
        check_pruner(search.make_pruner())
    search.estimator.check(search)


def _check_kinds(search: Definition) -> None:
    if not search.name:
        raise DescriptionError("expected a name for the search, got an empty one")
    if not callable(search.space):
        raise DescriptionError(f"expected a callable space, got {search.space!r}")
    if not isinstance(search.data, LightningDataModule):
        raise DescriptionError(f"expected data as a LightningDataModule, got {search.data!r}")
    if not isinstance(search.estimator, Estimator):
        raise DescriptionError(
            "expected an estimator such as optuna_nas.supernet.OneShot(), "
            f"got {search.estimator!r}"
        )
    if not (search.logger is None or callable(search.logger)):
        raise DescriptionError(
            "expected logger as a function of the study's name and the trial's number that "
            f"returns a Lightning Logger, got {search.logger!r}"
        )
    if not isinstance(search.checkpoints, str | os.PathLike | bool | None):
        raise DescriptionError(
            f"expected checkpoints as a folder, or None for none, got {search.checkpoints!r}"
        )
    url_of(search.checkpoints)


def _check_numbers(search: Definition) -> None:
    for name in ("max_failures", "samples", "seed", "trials"):
        if getattr(search, name) < 0:
            raise DescriptionError(f"expected {name} of at least 0, got {getattr(search, name)}")
    for name in ("quota", "time_limit"):
        value = getattr(search, name)
        if value is not None and value <= 0:
            raise DescriptionError(f"expected {name} > 0, or None for no bound, got {value}")
    if search.threads is not None and search.threads < 1:
        raise DescriptionError(f"expected threads >= 1, got {search.threads}")


def _check_objectives(search: Definition) -> None:
    if not search.optimised:
        raise DescriptionError("expected at least one objective, got none")
    names = [o.name for o in (*search.optimised, *search.capped)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DescriptionError(f"expected each objective once, got {', '.join(twice)} twice")
    each_once((*search.capped, *search.optimised, *search.parts))
    for objective in search.measured:
        if isinstance(objective, Recall) and objective.classes:
            objective.check_outputs(search.outputs)
