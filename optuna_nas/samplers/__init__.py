"""Which architecture comes next: stock Optuna samplers, ours among them.

finished trials in storage -> sampler -> parameters of the next trial
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from difflib import get_close_matches

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from optuna_nas.exceptions import DescriptionError
from optuna_nas.samplers.nsgaii import NSGAII

__all__ = ["NSGAII", "by_name"]

# On conditional spaces multivariate TPE found more than TPE with groups, in a quarter of the time.
_SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "nsga2": lambda seed: NSGAII(seed=seed),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(multivariate=True, seed=seed),
    "gp": lambda seed: optuna.samplers.GPSampler(warn_independent_sampling=False, seed=seed),
}


def by_name(name: str, seed: int) -> BaseSampler:
    """Make the sampler of that name: "nsga2" (ours), "random", "tpe" (multivariate) or "gp".

    Raises:
        DescriptionError: If there is no sampler of that name.
    """
    if not isinstance(name, str) or name not in _SAMPLERS:
        raise DescriptionError(_unknown(name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return _SAMPLERS[name](seed)


def _unknown(name: object) -> str:
    close = get_close_matches(str(name).lower(), _SAMPLERS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "or pass an Optuna sampler"
    return f"expected a sampler among {', '.join(_SAMPLERS)}, got {name!r}; {hint}"
