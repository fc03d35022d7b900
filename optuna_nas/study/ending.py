"""The end of a trial whose process died when all was in its record, and only that not told."""

from __future__ import annotations

from contextlib import suppress

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.pruners.curve import bare

__all__ = ["told"]

STATES = {
    "trained": TrialState.COMPLETE,
    "scored": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "rejected": TrialState.PRUNED,
}
"""Outcome in a trial's record -> the state that its process was about to tell."""


def told(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Tell the end of a trial in its process's stead, so that nothing of it is done again.

    Args:
        study: The study of a search.
        trial: A running trial, whose process is gone.

    Returns:
        Whether its record has the end: its checkpoint may be gone by then.
    """
    state, values = STATES.get(trial.user_attrs.get("outcome", "")), None
    if state is None:
        return False
    if state == TrialState.COMPLETE:
        measured = trial.user_attrs["measurements"]
        values = [measured[bare(name)]["value"] for name in study.metric_names or ()]
    with suppress(UpdateFinishedTrialError):  # another worker was faster
        study.tell(trial.number, values, state, skip_if_finished=True)
    return True
