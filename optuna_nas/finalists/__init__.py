"""Finalists: the networks of a front that are worth more training."""

from optuna_nas.finalists.inherited import Comparison, FollowUp, compare, follow_up
from optuna_nas.finalists.select import select

__all__ = ["Comparison", "FollowUp", "compare", "follow_up", "select"]
