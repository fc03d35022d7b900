"""Finalists: the networks of a front that are worth more training."""

from optuna_nas.finalists.select import select

__all__ = ["select"]
