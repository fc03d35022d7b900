"""Relational storages that write in few transactions, and outlive a database that is away.

Optuna commits every parameter and attribute of a trial by itself: 42 transactions for 40
parameters, each of which waits for a disk or a network. Here parameters and user attributes wait
in the process for the next system attribute, reported value or state of their trial, which others
must see at once (rungs and leases are such), or until trials are read; then all of them are one
transaction. Optuna allows that (see `_CachedStorage`): what a killed process had not written
belongs to a trial that is lost and begun again.
"""

from __future__ import annotations

import atexit
import copy
import json
import logging
import os
import threading
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, TypeVar, cast

from optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
)
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb.models import (
    TrialModel,
)
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import update

from optuna_nas.study.storages.chunks import ChunkedStorage, pieces, whole
from optuna_nas.study.storages.held import Held, is_time
from optuna_nas.study.storages.patience import Patience, try_again
from optuna_nas.study.storages.sqlite import write_ahead

__all__ = ["Relational"]

_logger = logging.getLogger(__name__)
T = TypeVar("T")


class Relational(_CachedStorage):
    """A relational storage that writes in few transactions, and tries again what may pass.

    Args:
        backend: Optuna's storage of the database.

    Attributes:
        patience: Tries again a database that is away, locked or full.
    """

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._begin()

    def __getstate__(self) -> dict[Any, Any]:
        self._write_all()
        state: dict[Any, Any] = super().__getstate__()
        for name in ("_held", "_running", "_new", "_writing", "_cut"):
            del state[name]
        return state

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        self._begin()

    def _begin(self) -> None:
        write_ahead(self._backend)
        self._cut = pieces if isinstance(self._backend, ChunkedStorage) else whole
        self.patience = Patience()
        self._held: dict[int, Held] = {}
        self._running: set[int] = set()  # trials that were seen here to run
        self._new: set[int] = set()  # of those, trials that were made here and not touched since
        self._writing = threading.RLock()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial."""
        trial_id = self._patiently(super().create_new_trial, study_id, template_trial)
        if template_trial is None:
            self._running.add(trial_id)
            self._new.add(trial_id)
        return trial_id

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """Hold a parameter back, once its distribution is seen to be that of other trials."""
        with self._writing:
            held = self._of(trial_id)
            study_id, _ = self._trial_id_to_study_id_and_number[trial_id]
            known = self._studies[study_id].param_distribution
            check_distribution_compatibility(
                known.setdefault(param_name, distribution), distribution
            )
            held.params[param_name] = (param_value_internal, distribution)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Hold a user attribute back.

        Raises:
            TypeError: The value is nothing that JSON has.
        """
        stored = json.loads(json.dumps(value))
        with self._writing:
            self._of(trial_id).user[key] = stored

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Write a system attribute, with what was held back of the trial.

        Raises:
            TypeError: The value is nothing that JSON has.
        """
        stored = json.loads(json.dumps(value))
        with self._writing:
            self._of(trial_id).system[key] = stored
            self._write(trial_id)

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        """Write a reported value, after what was held back of the trial."""
        self._write(trial_id)
        self._patiently(super().set_trial_intermediate_value, trial_id, step, intermediate_value)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Write the state of a trial, with what was held back of it.

        In SQLite, too, one worker alone takes a trial out of the queue, and one alone ends it.
        """
        return self._write(trial_id, state, values)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Read a trial, after writing what was held back of it in this process.

        One that was made here, and nothing done with since, is known.
        """
        if trial_id in self._new:
            self._new.discard(trial_id)
            study_id, number = self._trial_id_to_study_id_and_number[trial_id]
            return copy.deepcopy(self._studies[study_id].trials[number])
        for storage in self._of_database():
            storage._write_if_open(trial_id)
        return self._patiently(super().get_trial, trial_id)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Read all trials of a study, after writing what was held back of any in this process."""
        for storage in self._of_database():
            storage._write_all()
        return self._patiently(super().get_all_trials, study_id, deepcopy, states)

    def _patiently(self, work: Callable[..., T], *args: Any) -> T:
        return self.patience(partial(work, *args))

    def _add_trials_to_cache(self, study_id: int, trials: list[FrozenTrial]) -> None:
        super()._add_trials_to_cache(study_id, trials)
        known = self._studies[study_id].param_distribution
        for trial in trials:
            known.update(trial.distributions)

    def _of(self, trial_id: int) -> Held:
        """What is held back of a trial that runs.

        Raises:
            UpdateFinishedTrialError: It has ended.
        """
        if trial_id not in self._running:
            _check_open(self._patiently(super().get_trial, trial_id))
            self._running.add(trial_id)
        self._new.discard(trial_id)
        _HOLDING.add(self)
        return self._held.setdefault(trial_id, Held())

    def _of_database(self) -> list[Relational]:
        """This storage, and those of its database that hold something back in this process."""
        url = self._backend.engine.url
        return [storage for storage in {self, *_HOLDING} if storage._backend.engine.url == url]

    def _write_all(self) -> None:
        with self._writing:
            for trial_id in list(self._held):
                self._write_if_open(trial_id)

    def _write_if_open(self, trial_id: int) -> None:
        """Write what is held back of a trial, unless it is gone or another worker has ended it."""
        try:
            self._write(trial_id)
        except (KeyError, UpdateFinishedTrialError):
            _logger.info(f"dropped what is new of trial {trial_id}, which another worker ended")

    def _write(
        self,
        trial_id: int,
        state: TrialState | None = None,
        values: Sequence[float] | None = None,
    ) -> bool:
        """Write what is held back of a trial, and its state, in one transaction."""
        with self._writing:
            self._new.discard(trial_id)
            held = self._held.get(trial_id, Held())
            if trial_id not in self._held and state is None:
                return True
            try:
                now = datetime.now()
                done = self._patiently(self._transact, trial_id, held, state, values, now)
            except (KeyError, UpdateFinishedTrialError):
                self._drop(trial_id)
                self._running.discard(trial_id)
                raise
            self._drop(trial_id)
            if state is not None and state.is_finished():
                self._running.discard(trial_id)
            return done

    def _drop(self, trial_id: int) -> None:
        self._held.pop(trial_id, None)
        if not self._held:
            _HOLDING.discard(self)

    def _transact(
        self,
        trial_id: int,
        held: Held,
        state: TrialState | None,
        values: Sequence[float] | None,
        now: datetime,
    ) -> bool:
        """One transaction, which may be done twice."""
        with _create_scoped_session(self._backend.scoped_session) as session:
            own = TrialModel.trial_id == trial_id
            locked = update(TrialModel).where(own).values(state=TrialModel.state)
            session.execute(locked.execution_options(synchronize_session=False))
            trial = TrialModel.find_or_raise_by_id(trial_id, session)
            if trial.state == state and is_time(trial.datetime_complete, now):
                return True  # it was written before the connection broke
            _check_open(cast("FrozenTrial", trial))
            if state == TrialState.RUNNING and trial.state != TrialState.WAITING:
                return False
            held.put(session, trial_id, self._cut, values)
            if state is not None:
                trial.state = state
                if state == TrialState.RUNNING:
                    trial.datetime_start = now
                elif state.is_finished():
                    trial.datetime_complete = now
        return True


def _check_open(trial: FrozenTrial) -> None:
    if trial.state.is_finished():
        raise UpdateFinishedTrialError(
            f"expected trial {trial.number} to run still, but it has ended ({trial.state.name}), "
            "so nothing of it can change"
        )


PLAIN = (
    "create_new_study",
    "get_all_studies",
    "get_best_trial",
    "get_study_directions",
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_system_attrs",
    "get_study_user_attrs",
    "get_trial_id_from_study_id_trial_number",
    "set_study_system_attr",
    "set_study_user_attr",
)
"""Methods that are Optuna's, but tried again."""


try_again(Relational, PLAIN)


_HOLDING: set[Relational] = set()
"""Storages with something to write, which stay even when nobody else refers to them."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_HOLDING.clear)  # the parent writes what is its own


@atexit.register
def _at_exit() -> None:
    """Write what is still held back, where the database is there."""
    for storage in list(_HOLDING):
        storage.patience.seconds = 0.0
        with suppress(Exception):
            storage._write_all()
