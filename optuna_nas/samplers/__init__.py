"""Which architecture comes next: stock Optuna samplers, ours among them.

finished trials in storage -> sampler -> parameters of the next trial
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from optuna_nas.names import choose
from optuna_nas.samplers.nsgaii import NSGAII

__all__ = ["NSGAII", "by_name"]

# On conditional spaces multivariate TPE found more than TPE with groups, in a quarter of the time.
STOCK: dict[str, Callable[[int], BaseSampler]] = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(multivariate=True, seed=seed),
    "gp": lambda seed: optuna.samplers.GPSampler(warn_independent_sampling=False, seed=seed),
}
OURS: dict[str, Callable[[int], BaseSampler]] = {"nsga2": lambda seed: NSGAII(seed=seed)}


def by_name(name: str, seed: int, trials: int = 0) -> BaseSampler:
    """Make the sampler of that name: "nsga2" (ours), "random", "tpe" (multivariate) or "gp".

    Args:
        name: Its name.
        seed: Seed of the search.
        trials: Trials that the study has already. Stock samplers draw one sequence from their
            seed; after a resume they get another one, so that they do not repeat themselves.

    Raises:
        DescriptionError: If there is no sampler of that name.
    """
    make = choose("sampler", name, STOCK | OURS)
    if name in STOCK and trials > 0:
        seed = int(np.random.SeedSequence((seed, trials)).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return make(seed)
