"""Finalist -> the same network with better training hyperparameters, by a study of those alone.

Source: Li et al. 2018 (Hyperband), arXiv:1603.06560; Bergstra et al. 2011 (TPE).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.storages import BaseStorage

from optuna_nas.exceptions import DescriptionError
from optuna_nas.finalists.finalist import Finalist
from optuna_nas.finalists.further_search import completed
from optuna_nas.finalists.retrained import judge
from optuna_nas.finalists.retraining import uncapped
from optuna_nas.spaces import Joint
from optuna_nas.spaces.joint import PREFIX
from optuna_nas.study import Search
from optuna_nas.study.from_scratch import FromScratch
from optuna_nas.study.hyperparameters import OURS
from optuna_nas.study.training import OnEpoch

__all__ = ["CHOICES", "tune", "tuning"]

CHOICES: Mapping[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
    "weight_decay": FloatDistribution(1e-6, 0.3, log=True),
    "label_smoothing": FloatDistribution(0.0, 0.2),
    "augmentation": FloatDistribution(0.0, 1.0),
}
"""What is tuned by default, where the recipe has an argument of that name."""


def tuning(search: Search, finalist: Finalist, choices: Mapping[str, Any] | None = None) -> Search:
    """The search for training hyperparameters of a finalist: TPE and Hyperband.

    Args:
        search: The search that found it.
        finalist: The finalist.
        choices: Hyperparameters as `spaces.Joint` takes them; those of `CHOICES` that the module
            has by default.

    Raises:
        DescriptionError: The module takes none of them.
    """
    taken = inspect.signature(search.module).parameters
    chosen = choices or {name: choice for name, choice in CHOICES.items() if name in taken}
    if not chosen:
        raise DescriptionError(
            f"expected a module with an argument among {', '.join(CHOICES)} to tune, got "
            f"{', '.join(taken)}; say which: choices={{...}}"
        )
    return replace(
        search,
        name=f"{search.name}@tuning/{finalist.name}",
        space=Joint(finalist.space, **chosen),
        data=search.data_for(finalist.hyperparameters),
        objectives=[uncapped(search.optimised[judge(search)])],
        constraints=(),
        estimator=FromScratch(),
        fidelity=search.budget,
        sampler="tpe",
        pruner="hyperband",
        samples=0,
    )


def tune(
    search: Search,
    finalist: Finalist,
    storage: BaseStorage,
    trials: int,
    choices: Mapping[str, Any] | None = None,
    on_epoch: OnEpoch | None = None,
) -> Finalist:
    """Tune a finalist, beginning with the hyperparameters that it has.

    Repeated, it goes on until there are so many trials, and returns what was best.

    Args:
        search: The search that found it.
        finalist: The finalist.
        storage: Where the study goes.
        trials: Trials of it in all.
        choices: As in `tuning`.
        on_epoch: As in `Search.run`.

    Returns:
        The same network under the name `<name>, tuned`.
    """
    own = tuning(search, finalist, choices)
    assert isinstance(own.space, Joint)
    present = _present(search, finalist, own.space.hyperparameters)
    study = completed(own, storage, trials, on_epoch, first=present)
    best = own.hyperparameters(optuna.trial.FixedTrial(study.best_params))
    kept = {**finalist.hyperparameters, **best}
    return replace(
        finalist,
        name=f"{finalist.name}, tuned",
        hyperparameters=kept,
        studies=(*finalist.studies, study.study_name),
    )


def _present(search: Search, finalist: Finalist, choices: Mapping[str, Any]) -> dict[str, float]:
    """Parameters of the hyperparameters that the finalist has, where they are in range."""
    defaults = inspect.signature(search.module).parameters
    present = {}
    for name, choice in choices.items():
        default = None if name in OURS else defaults[name].default
        value = finalist.hyperparameters.get(name, default)
        if isinstance(choice, FloatDistribution) and isinstance(value, int | float):
            present[f"{PREFIX}.{name}"] = min(max(float(value), choice.low), choice.high)
    return present
