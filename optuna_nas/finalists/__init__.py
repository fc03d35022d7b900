"""Finalists: the networks of a front that are worth more training, and what they come to.

    study -> select -> Finalist -> Retraining -> sealed test -> export -> folder

Baselines go the same way beside them, up to the test.
"""

from optuna_nas.finalists.auditing import audit
from optuna_nas.finalists.card import register
from optuna_nas.finalists.comparison import baselines
from optuna_nas.finalists.derived import Further
from optuna_nas.finalists.distillation import Distilled, distilling, find_student
from optuna_nas.finalists.finalist import Finalist
from optuna_nas.finalists.finals import choose_finalists, run_finals
from optuna_nas.finalists.forms import export
from optuna_nas.finalists.inherited import Comparison, FollowUp, compare, follow_up
from optuna_nas.finalists.pruning import prune
from optuna_nas.finalists.result import Finals
from optuna_nas.finalists.retrained import Retrained
from optuna_nas.finalists.retraining import Retraining
from optuna_nas.finalists.sealed import sealed_test
from optuna_nas.finalists.select import select
from optuna_nas.finalists.tuning import tune

__all__ = [
    "Comparison",
    "Distilled",
    "Finalist",
    "Finals",
    "FollowUp",
    "Further",
    "Retrained",
    "Retraining",
    "audit",
    "baselines",
    "choose_finalists",
    "compare",
    "distilling",
    "export",
    "find_student",
    "follow_up",
    "prune",
    "register",
    "run_finals",
    "sealed_test",
    "select",
    "tune",
]
