"""Stopping a search that only fails."""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.exceptions import SearchStopped

__all__ = ["StopOnFailures"]


class StopOnFailures:
    """Optuna callback that says when too many equal failures came in a row.

    Args:
        limit: Failures of one kind (the class of the error) in a row that are borne.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.reasons: list[str] = []

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Count the failure of a trial, or start again from none."""
        outcome = trial.user_attrs.get("outcome")
        if trial.state != TrialState.FAIL:
            if outcome not in ("rejected", "reused"):  # these did not get as far as to fail
                self.reasons.clear()
            return
        if outcome == "interrupted":
            return
        reason = trial.user_attrs.get("ended", "no reason in storage")
        if self.reasons and _kind(self.reasons[-1]) != _kind(reason):
            self.reasons.clear()
        self.reasons.append(reason)

    @property
    def stopped(self) -> bool:
        """Whether too many trials failed in a row."""
        return len(self.reasons) > self.limit

    def raise_if_stopped(self) -> None:
        """Say why the study was stopped, if it was.

        Raises:
            SearchStopped: The last trials failed for the same reason.
        """
        if self.stopped:
            raise SearchStopped(
                f"stopped after {len(self.reasons)} failures of one kind in a row; "
                f"the last: {self.reasons[-1]}"
            )


def _kind(reason: str) -> str:
    return reason.partition(":")[0]
