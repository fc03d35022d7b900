"""A value drawn uniformly from one distribution, and generators that draw it."""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from optuna_nas.exceptions import SpaceError

__all__ = ["generator", "seed_of", "uniform"]


def seed_of(*parts: int | str) -> np.random.SeedSequence:
    """A seed that follows from numbers and names alone."""
    words = [word for part in parts for word in _words(part)]
    return np.random.SeedSequence(np.array(words, dtype=np.uint32))


def generator(*parts: int | str) -> np.random.Generator:
    """A generator that follows from numbers and names alone."""
    return np.random.default_rng(seed_of(*parts))


def uniform(distribution: BaseDistribution, rng: np.random.Generator) -> Any:
    """Draw a value, uniform over the choices, the range, or the logarithm of the range.

    Raises:
        SpaceError: If the distribution is none of Optuna's three.
    """
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[_below(len(distribution.choices), rng)]
    if isinstance(distribution, IntDistribution):
        return _integer(distribution, rng)
    if isinstance(distribution, FloatDistribution):
        return _real(distribution, rng)
    raise SpaceError(
        "expected a categorical, int or float distribution, "
        f"got {type(distribution).__name__}; use trial.suggest_*"
    )


@lru_cache(maxsize=4096)
def _words(part: int | str) -> tuple[int, ...]:
    """The words of 32 bits that NumPy makes of a number, or of the hash of a name."""
    if isinstance(part, str):
        part = int.from_bytes(hashlib.sha256(part.encode()).digest(), "big")
    count = max(1, -(-part.bit_length() // 32))
    return tuple(part >> 32 * place & 0xFFFFFFFF for place in range(count))


def _below(count: int, rng: np.random.Generator) -> int:
    return min(int(rng.random() * count), count - 1)


def _between(low: float, high: float, rng: np.random.Generator) -> float:
    share = rng.random()
    return low * (1.0 - share) + high * share


def _integer(distribution: IntDistribution, rng: np.random.Generator) -> int:
    low, high, step = distribution.low, distribution.high, distribution.step
    if not distribution.log:
        return low + step * _below((high - low) // step + 1, rng)
    drawn = math.exp(_between(math.log(low - 0.5), math.log(high + 0.5), rng))
    return min(max(round(drawn), low), high)


def _real(distribution: FloatDistribution, rng: np.random.Generator) -> float:
    low, high, step = distribution.low, distribution.high, distribution.step
    if step is not None:
        drawn = low + step * _below(round((high - low) / step) + 1, rng)
    elif distribution.log:
        drawn = math.exp(_between(math.log(low), math.log(high), rng))
    else:
        drawn = _between(low, high, rng)
    return min(max(drawn, low), high)
