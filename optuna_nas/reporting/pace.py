"""Whether a study is running, and how fast, as storage tells it to anybody who asks."""

from __future__ import annotations

from datetime import datetime

import optuna
from optuna.trial import FrozenTrial

from optuna_nas.study import lease

__all__ = ["RECENT_SECONDS", "pace"]

RECENT_SECONDS = 600.0
ZONE_SECONDS = 900.0
"""Of which the distance of two time zones is a multiple."""


def pace(study: optuna.Study, now: datetime | None = None) -> dict[str, int | float]:
    """Who works on a study, and how fast trials have ended in the last ten minutes.

    Args:
        study: The study.
        now: The time; that of this moment by default.

    Returns:
        `workers` that hold the lease of a running trial, `trials_a_minute`, and
        `seconds_since_last`, since the latest trial ended; absent where none has.
    """
    at = (now or datetime.now()).timestamp()
    trials = study.get_trials(deepcopy=False)
    ended = sorted(
        at - trial.datetime_complete.timestamp() + _zone(trial)
        for trial in trials
        if trial.datetime_complete is not None
    )
    recent = [ago for ago in ended if ago <= RECENT_SECONDS]
    began = [
        at - trial.datetime_start.timestamp() + _zone(trial)
        for trial in trials
        if trial.datetime_start is not None
    ]
    span = min(RECENT_SECONDS, max(began, default=0.0))
    found: dict[str, int | float] = {
        "workers": lease.workers(study),
        "trials_a_minute": round(60 * len(recent) / span, 2) if span > 0 else 0.0,
    }
    return found | ({"seconds_since_last": round(ended[0], 1)} if ended else {})


def _zone(trial: FrozenTrial) -> float:
    """Seconds by which the local time of a trial's host, which Optuna keeps, is ahead of ours.

    The lease of a trial has the time of everywhere, as it was shortly before the trial ended.
    """
    renewed = (trial.system_attrs.get(lease.LEASE) or {}).get("renewed")
    if renewed is None or trial.datetime_complete is None:
        return 0.0
    ahead = trial.datetime_complete.timestamp() - float(renewed)
    return ZONE_SECONDS * round(ahead / ZONE_SECONDS)
