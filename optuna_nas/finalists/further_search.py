"""A search that goes on from a finalist: run to its end, and taken up again where it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from optuna_nas.exceptions import DescriptionError
from optuna_nas.study import Search
from optuna_nas.study.record import records
from optuna_nas.study.training import OnEpoch

__all__ = ["completed"]


def completed(
    search: Search,
    storage: BaseStorage,
    trials: int,
    on_epoch: OnEpoch | None = None,
    first: Mapping[str, Any] | None = None,
) -> optuna.Study:
    """Run a search until it has so many trials; done already, it is only opened.

    Args:
        search: The search.
        storage: Where its study goes.
        trials: Trials in all; one that was killed and taken up again counts once.
        on_epoch: As in `Search.run`.
        first: Parameters that it begins with.

    Raises:
        DescriptionError: None of them is complete.
    """
    study = search.study(storage)
    if first and not study.get_trials(deepcopy=False):
        study.enqueue_trial(dict(first))
    done = sum(record.finished and not record.superseded for record in records(study))
    if done < trials:
        search.run(trials=trials - done, storage=storage, on_epoch=on_epoch)
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        raise DescriptionError(
            f"expected a complete trial of {study.study_name!r}, got none in {trials}; allow more "
            "trials, or loosen the caps"
        )
    return study
