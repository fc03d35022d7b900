"""Which architecture comes next: stock Optuna samplers, ours among them.

finished trials in storage -> sampler -> parameters of the next trial
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from optuna_nas.names import choose
from optuna_nas.samplers.local_search import LocalSearch
from optuna_nas.samplers.multi_fidelity import MultiFidelity
from optuna_nas.samplers.nsgaii import NSGAII
from optuna_nas.samplers.regularized_evolution import RegularizedEvolution

if TYPE_CHECKING:
    from optuna_nas.samplers.predictor import Predictor
    from optuna_nas.samplers.reinforce import Reinforce

__all__ = [
    "NSGAII",
    "LocalSearch",
    "MultiFidelity",
    "Predictor",
    "RegularizedEvolution",
    "Reinforce",
    "by_name",
    "given",
]

_Known = Mapping[str, Any] | None
_Space = Callable[[Any], Any] | None

OURS: dict[str, Callable[[int, _Space, _Known], BaseSampler]] = {
    "nsga2": lambda seed, space, known: NSGAII(seed=seed),
    "predictor": lambda seed, space, known: _late("Predictor")(space, known, seed=seed),
    "regularized-evolution": lambda seed, space, known: RegularizedEvolution(space, seed=seed),
    "local-search": lambda seed, space, known: LocalSearch(space, seed=seed),
    "reinforce": lambda seed, space, known: _late("Reinforce")(space, seed=seed),
}
"""Which read of a study what they need."""

# On conditional spaces multivariate TPE found more than TPE with groups, in a quarter of the time.
OPTUNAS: dict[str, Callable[[], BaseSampler]] = {
    "random": optuna.samplers.RandomSampler,
    "tpe": lambda: optuna.samplers.TPESampler(multivariate=True),
    "gp": lambda: optuna.samplers.GPSampler(warn_independent_sampling=False),
    "optuna-nsga2": optuna.samplers.NSGAIISampler,
}
"""Which learn from what was not trained to the end as `MultiFidelity` does."""

NAMES = (*OURS, *OPTUNAS)


def by_name(name: str, seed: int, space: _Space = None, known: _Known = None) -> BaseSampler:
    """Make the sampler of that name, one of `NAMES`.

    Each draws by the seed, the trial's number and the history in storage alone.

    Args:
        name: The name.
        seed: Its seed.
        space: What networks are drawn by, for samplers that propose whole ones.
        known: As in `Predictor`, for the same.

    Raises:
        DescriptionError: If there is no sampler of that name.
    """
    choose("sampler", name, dict.fromkeys(NAMES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if name in OURS:
            return OURS[name](seed, space, known)
        return MultiFidelity(OPTUNAS[name](), seed)


def given(sampler: BaseSampler, seed: int) -> BaseSampler:
    """A copy of a sampler that a user gave to a search.

    Optuna's own become `MultiFidelity`, with this seed where they have none. Others see the study
    as it is.
    """
    if type(sampler).__module__.startswith("optuna.samplers."):
        sampler = MultiFidelity(sampler)
    if isinstance(sampler, MultiFidelity) and not sampler.seeded:
        return MultiFidelity(sampler.sampler, seed)
    return copy.deepcopy(sampler)


def _late(name: str) -> Any:
    """A sampler that alone needs scikit-learn, or torch."""
    return getattr(import_module(f"optuna_nas.samplers.{name.lower()}"), name)


def __getattr__(name: str) -> Any:
    if name in ("Predictor", "Reinforce"):
        return _late(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
