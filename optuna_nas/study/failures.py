"""Stopping a search that only fails."""

from __future__ import annotations

import gc

import optuna
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.exceptions import SearchStopped

__all__ = ["StopOnFailures"]


class StopOnFailures:
    """Optuna callback that stops a study after too many equal failures in a row.

    Args:
        limit: Failures of one kind (the class of the error) in a row that are borne.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.reasons: list[str] = []

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Count the failure of a trial, or start again from none."""
        if trial.state != TrialState.FAIL:
            self.reasons.clear()
            return
        gc.collect()  # what the failed trial held may be what the next one lacks
        reason = trial.user_attrs.get("ended", "no reason in storage")
        if self.reasons and _kind(self.reasons[-1]) != _kind(reason):
            self.reasons.clear()
        self.reasons.append(reason)
        if len(self.reasons) > self.limit:
            study.stop()

    def raise_if_stopped(self) -> None:
        """Say why the study was stopped, if it was.

        Raises:
            SearchStopped: The last trials failed for the same reason.
        """
        if len(self.reasons) > self.limit:
            raise SearchStopped(
                f"stopped after {len(self.reasons)} failures of one kind in a row; "
                f"the last: {self.reasons[-1]}"
            )


def _kind(reason: str) -> str:
    return reason.partition(":")[0]
