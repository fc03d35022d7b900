"""Which architecture comes next: stock Optuna samplers, ours among them.

finished trials in storage -> sampler -> parameters of the next trial
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.trial import FrozenTrial

from optuna_nas.names import choose
from optuna_nas.samplers.gp import GP
from optuna_nas.samplers.nsgaii import NSGAII

if TYPE_CHECKING:
    from optuna_nas.samplers.predictor import Predictor

__all__ = ["NSGAII", "Predictor", "by_name"]

S = TypeVar("S", bound=BaseSampler)


def seeded_by_trial(name: str, sampler: S, seed: int) -> S:
    """Make a stock sampler draw by the seed and the number of the trial alone.

    By itself it draws one sequence, the same in every worker, and from its start after a resume.
    """

    # The base is known only at run time, which a type checker cannot follow.
    class ByTrial(type(sampler)):  # type: ignore[misc]
        def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
            for part in (self, *vars(self).values()):
                if isinstance(state := getattr(part, "_rng", None), LazyRandomState):
                    state.rng.seed(np.random.SeedSequence((seed, trial.number)).generate_state(4))
            for cache in ("_gprs_cache_list", "_constraints_gprs_cache_list"):
                if hasattr(self, cache):  # a warm start, which a resumed study would not have
                    setattr(self, cache, None)
            super().before_trial(study, trial)

        def __reduce__(self) -> tuple[Any, ...]:
            return by_name, (name, seed)

    ByTrial.__name__ = ByTrial.__qualname__ = type(sampler).__name__
    sampler.__class__ = ByTrial
    return sampler


# On conditional spaces multivariate TPE found more than TPE with groups, in a quarter of the time.
NAMES: dict[str, Callable[[int], BaseSampler]] = {
    "nsga2": lambda seed: NSGAII(seed=seed),
    "random": lambda seed: seeded_by_trial("random", optuna.samplers.RandomSampler(seed), seed),
    "tpe": lambda seed: seeded_by_trial(
        "tpe", optuna.samplers.TPESampler(multivariate=True, seed=seed), seed
    ),
    "gp": lambda seed: seeded_by_trial("gp", GP(warn_independent_sampling=False, seed=seed), seed),
}


def by_name(
    name: str,
    seed: int,
    space: Callable[[Any], Any] | None = None,
    known: Mapping[str, Callable[[Any], float] | None] | None = None,
) -> BaseSampler:
    """Make the sampler of that name: "nsga2" or "predictor" (ours), "random", "tpe" or "gp".

    Each draws by the seed, the trial's number and the history in storage alone.

    Args:
        name: The name.
        seed: Its seed.
        space: What networks are drawn by, for samplers that propose whole ones.
        known: As in `Predictor`, for the same.

    Raises:
        DescriptionError: If there is no sampler of that name.
    """

    def predictor(seed: int) -> BaseSampler:
        return _predictor()(space, known, seed=seed)

    make = choose("sampler", name, {**NAMES, "predictor": predictor})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return make(seed)


def _predictor() -> type[Predictor]:
    from optuna_nas.samplers.predictor import Predictor  # it alone needs scikit-learn

    return Predictor


def __getattr__(name: str) -> Any:
    if name == "Predictor":
        return _predictor()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
