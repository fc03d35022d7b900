"""Trials to draw from a space at random, outside of any study that is kept."""

from __future__ import annotations

from collections.abc import Iterator

import optuna

__all__ = ["random_trials"]


def random_trials(seed: int) -> Iterator[optuna.Trial]:
    """Trials without end, which draw uniformly."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    finally:
        optuna.logging.set_verbosity(verbosity)
    while True:
        yield study.ask()
