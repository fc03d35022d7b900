"""How much each parameter matters to each objective."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.study.record import objective_names

__all__ = ["Importances", "importances"]

FEWEST = 20
"""Complete trials."""
BEST = 5
"""Trials that count as the best, at least."""


class Importances(NamedTuple):
    """Importances of parameters.

    Args:
        shares: Objective -> parameter -> its share of the importance of all, the largest first.
        present: Parameter -> complete trials that have it.
        trials: Complete trials.
    """

    shares: Mapping[str, Mapping[str, float]]
    present: Mapping[str, int]
    trials: int


def importances(study: optuna.Study) -> Importances:
    """Importance of each parameter for reaching the best tenth by each objective.

    By Optuna's PED-ANOVA, which takes a conditional parameter for what it is: whether a network
    has it counts as well as its value. Below 20 complete trials there are none.

    Source: Watanabe et al. 2023, arXiv:2304.10255; conditional: arXiv:2601.20800.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    present = Counter(name for trial in complete for name in trial.params)
    if len(complete) < FEWEST or not present:
        return Importances({}, present, len(complete))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, BEST / len(complete)))
    shares = {}
    for place, name in enumerate(objective_names(study)):
        with warnings.catch_warnings():  # that low is good, as below, and that some are rare
            warnings.simplefilter("ignore")
            shares[name] = get_param_importances(
                study, evaluator=evaluator, target=partial(_loss, study.directions[place], place)
            )
    return Importances(shares, present, len(complete))


def _loss(direction: StudyDirection, place: int, trial: FrozenTrial) -> float:
    value: float = trial.values[place]
    return -value if direction == StudyDirection.MAXIMIZE else value
