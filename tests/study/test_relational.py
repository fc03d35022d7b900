"""A relational storage that writes in few transactions keeps every promise of Optuna's."""

import gc
import json
import pickle
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from optuna_nas.study import lease
from optuna_nas.study.storages import patience, relational
from optuna_nas.study.storages.opening import connect
from optuna_nas.study.storages.relational import Relational


@pytest.fixture(scope="module")
def blank(tmp_path_factory) -> Path:
    """A database without studies: to copy one is faster than to make one."""
    path: Path = tmp_path_factory.mktemp("blank") / "s.db"
    RDBStorage(f"sqlite:///{path}").engine.dispose()
    return path


class TestAsOptunas(StorageTestCase):
    @pytest.fixture
    def storage(self, blank, tmp_path) -> BaseStorage:
        return connect(f"sqlite:///{shutil.copy(blank, tmp_path)}")


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/s.db"


def begun(url: str) -> tuple[Relational, int]:
    storage = connect(url)
    assert isinstance(storage, Relational)
    study_id = storage.create_new_study([StudyDirection.MINIMIZE], "s")
    trial_id = storage.create_new_trial(study_id)
    storage.get_trial(trial_id)  # as a study does; only then others may have changed it
    return storage, trial_id


def commits(storage: Relational) -> list[object]:
    seen: list[object] = []
    event.listen(storage._backend.engine, "commit", seen.append)
    return seen


def as_stored(url: str) -> optuna.trial.FrozenTrial:
    return optuna.load_study(study_name="s", storage=url).trials[0]


def test_a_trial_takes_few_transactions_however_many_parameters(url: str) -> None:
    study = optuna.create_study(storage=connect(url), directions=["minimize"] * 2)
    seen = commits(study._storage)
    for count in (1, 40):
        seen.clear()
        trial = study.ask()
        for number in range(count):
            trial.suggest_int(f"n{number}", 0, 9)
            trial.set_user_attr(f"attribute{number}", number)
        study.tell(trial, [0.0, 1.0])
        assert len(seen) <= 8  # half of them are reads
    assert len(study.trials[1].params) == len(study.trials[1].user_attrs) == 40


@pytest.mark.parametrize(
    "shown",
    [
        lambda storage, trial: storage.set_trial_system_attr(trial, "completed_rung_0", [0.5, 1]),
        lambda storage, trial: storage.set_trial_intermediate_value(trial, 1, 0.5),
        lambda storage, trial: storage.set_trial_state_values(trial, TrialState.FAIL),
        lambda storage, trial: storage.get_trial(trial),
        lambda storage, trial: storage.get_all_trials(
            storage._backend.get_all_studies()[0]._study_id
        ),
        lambda storage, trial: pickle.dumps(storage),
    ],
)
def test_what_was_held_back_is_written_before_others_could_miss_it(url: str, shown) -> None:
    storage, trial = begun(url)
    storage.set_trial_param(trial, "x", 3.0, IntDistribution(0, 9))
    storage.set_trial_user_attr(trial, "digest", "abc")
    assert as_stored(url).params == {}
    shown(storage, trial)
    assert as_stored(url).params == {"x": 3}
    assert as_stored(url).user_attrs == {"digest": "abc"}


def test_a_process_that_ends_leaves_what_it_held_back(url: str) -> None:
    script = """
import sys, optuna
from optuna_nas.study.storages.opening import connect
study = optuna.create_study(study_name="s", storage=connect(sys.argv[1]))
study.ask().suggest_int("x", 0, 9)
"""
    subprocess.run([sys.executable, "-c", script, url], check=True)
    assert set(as_stored(url).params) == {"x"}


@pytest.mark.parametrize("kind", ["user", "system"])
def test_what_json_cannot_hold_is_refused_where_it_is_set(url: str, kind: str) -> None:
    storage, trial = begun(url)
    with pytest.raises(TypeError):
        getattr(storage, f"set_trial_{kind}_attr")(trial, "thing", np.float32(1.0))
    assert getattr(storage.get_trial(trial), f"{kind}_attrs") == {}


def test_an_attribute_is_stored_as_it_was_when_it_was_set(url: str) -> None:
    storage, trial = begun(url)
    steps = [1, 2]
    storage.set_trial_user_attr(trial, "steps", steps)
    steps.append(3)
    assert storage.get_trial(trial).user_attrs == {"steps": [1, 2]}


@pytest.mark.parametrize("kept", [False, True])
def test_what_one_storage_holds_back_another_of_the_process_shows(url: str, kept: bool) -> None:
    def ask() -> optuna.Study | None:
        study = optuna.create_study(study_name="s", storage=connect(url))
        study.ask().suggest_int("x", 0, 9)
        return study if kept else None

    first = ask()
    gc.collect()
    optuna.load_study(study_name="s", storage=connect(url)).tell(0, 1.0)
    assert set(as_stored(url).params) == {"x"}
    del first
    assert not relational._HOLDING


def test_another_distribution_of_one_name_is_refused(url: str) -> None:
    storage, trial = begun(url)
    storage.set_trial_param(trial, "x", 3.0, IntDistribution(0, 9))
    storage.set_trial_state_values(trial, TrialState.COMPLETE, [1.0])
    again = connect(url)
    other = again.create_new_trial(1)
    again.get_all_trials(1)
    with pytest.raises(ValueError, match="different distribution kind"):
        again.set_trial_param(other, "x", 0.5, optuna.distributions.FloatDistribution(0, 1))


def test_a_trial_that_another_worker_ended_stays_as_it_is(url: str) -> None:
    storage, trial = begun(url)
    storage.set_trial_user_attr(trial, "late", 1)
    connect(url).set_trial_state_values(trial, TrialState.FAIL)
    assert storage.get_trial(trial).state == TrialState.FAIL  # reading does not raise
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_state_values(trial, TrialState.COMPLETE, [1.0])
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_system_attr(trial, "key", 1)
    assert as_stored(url).state == TrialState.FAIL
    assert as_stored(url).user_attrs == {}


def test_one_worker_alone_takes_a_trial_out_of_the_queue(url: str) -> None:
    study = optuna.create_study(study_name="s", storage=connect(url))
    for _ in range(20):
        study.enqueue_trial({"x": 1})
    waiting = [t._trial_id for t in study.trials]
    workers = [connect(url) for _ in range(2)]
    taken: list[list[int]] = [[], []]

    def take(worker: int) -> None:
        for trial in waiting:
            if workers[worker].set_trial_state_values(trial, TrialState.RUNNING):
                taken[worker].append(trial)

    threads = [threading.Thread(target=take, args=(worker,)) for worker in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken[0] + taken[1]) == waiting


def failing(storage: Relational, when: str, times: int, message: str) -> list[int]:
    """Let the next statements, or commits, of a storage fail."""
    left = [times]

    def fail(*_: object) -> None:
        if left[0] > 0:
            left[0] -= 1
            raise OperationalError("", {}, _sqlite_error(message))

    event.listen(storage._backend.engine, when, fail)
    return left


def _sqlite_error(message: str) -> Exception:
    import sqlite3

    return sqlite3.OperationalError(message)


@pytest.mark.parametrize("message", ["database is locked", "database or disk is full"])
def test_what_may_pass_is_tried_again_and_nothing_is_lost(url, message, monkeypatch, caplog):
    monkeypatch.setattr(patience, "LONGEST_WAIT", 0.01)
    storage, trial = begun(url)
    storage.set_trial_param(trial, "x", 3.0, IntDistribution(0, 9))
    left = failing(storage, "before_cursor_execute", 3, message)
    storage.set_trial_state_values(trial, TrialState.COMPLETE, [1.0])
    assert left == [0]
    assert (as_stored(url).params, as_stored(url).values) == ({"x": 3}, [1.0])
    assert message in caplog.text
    assert "the storage answers after" in caplog.text


def test_a_commit_whose_answer_was_lost_counts_once(url: str) -> None:
    storage, trial = begun(url)
    storage.set_trial_param(trial, "x", 3.0, IntDistribution(0, 9))
    transact, calls = storage._transact, []

    def lost(*arguments):
        done = transact(*arguments)
        calls.append(done)
        if len(calls) == 1:
            cause = OperationalError("", {}, _sqlite_error("database is locked"))
            raise StorageInternalError("lost") from cause
        return done

    storage._transact = lost
    assert storage.set_trial_state_values(trial, TrialState.COMPLETE, [1.0])
    assert calls == [True, True]
    assert as_stored(url).values == [1.0]


def test_an_error_that_will_not_pass_is_raised_at_once(url: str) -> None:
    storage, trial = begun(url)
    left = failing(storage, "before_cursor_execute", 2, "attempt to write a readonly database")
    with pytest.raises(StorageInternalError):
        storage.set_trial_state_values(trial, TrialState.COMPLETE, [1.0])
    assert left == [1]


def test_patience_ends(url: str) -> None:
    storage, trial = begun(url)
    storage.patience.seconds = 0.0
    failing(storage, "before_cursor_execute", 10**6, "database is locked")
    with pytest.raises(StorageInternalError):
        storage.get_trial(trial)


def test_a_new_trial_is_read_only_where_something_may_have_been_done_with_it(url: str) -> None:
    storage, _ = begun(url)
    trial = storage.create_new_trial(1)
    other = connect(url)
    other.set_trial_system_attr(trial, "taken", True)
    known, read = storage.get_trial(trial), storage.get_trial(trial)
    assert (known.number, known.state, known.params) == (1, TrialState.RUNNING, {})
    assert read.system_attrs == {"taken": True}
    known.user_attrs["mine"] = 1  # what was handed out changes nothing
    assert storage.get_trial(trial).user_attrs == {}
    trial = storage.create_new_trial(1)
    storage.set_trial_user_attr(trial, "mine", 2)
    assert storage.get_trial(trial).user_attrs == {"mine": 2}


def test_studies_are_waited_for_too(url: str) -> None:
    begun(url)
    storage = connect(url)
    left = failing(storage, "before_cursor_execute", 0, "database is locked")
    for work, result in (
        (lambda: storage.get_study_id_from_name("s"), 1),
        (lambda: storage.get_study_name_from_id(1), "s"),
        (lambda: len(storage.get_all_studies()), 1),
        (lambda: storage.create_new_study([StudyDirection.MINIMIZE], study_name="t"), 2),
    ):
        left[0] = 1
        assert work() == result
        assert left == [0]


def test_patience_that_ran_out_is_back_with_the_storage(url: str) -> None:
    storage, trial = begun(url)
    storage.patience.seconds = 0.3
    left = failing(storage, "before_cursor_execute", 10**6, "database is locked")
    with pytest.raises(StorageInternalError):
        storage.get_trial(trial)
    tried = left[0]
    with pytest.raises(StorageInternalError):
        storage.get_trial(trial)
    assert left[0] == tried - 1
    left[0] = 0
    storage.get_trial(trial)
    storage.patience.seconds = 60.0
    left[0] = 2
    storage.get_trial(trial)
    assert left == [0]


def test_an_outage_longer_than_a_lease_makes_no_trial_abandoned(url: str, monkeypatch) -> None:
    study = optuna.create_study(study_name="s", storage=connect(url))
    elsewhere = {**lease.lease_for(300.0), "host": "elsewhere"}
    study._storage.set_trial_system_attr(study.ask()._trial_id, lease.LEASE, elsewhere)
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.append(now.pop() + seconds))
    assert lease.requeue(study) == []
    began = now[0]
    failing(study._storage, "before_cursor_execute", 80, "database is locked")
    assert lease.requeue(study) == []
    assert now[0] - began > 300
    now[0] += 299
    assert lease.requeue(study) == []
    now[0] += 2
    assert lease.requeue(study) == [0]


def test_a_full_disk_is_waited_for(tmp_path) -> None:
    """A real one: SQLite may use no more pages, until somebody makes room."""
    storage, trial = begun(f"sqlite:///{tmp_path}/s.db")
    engine = storage._backend.engine
    limit = [0]

    @event.listens_for(engine, "checkout")
    def restrict(connection, *_: object) -> None:
        pages = limit[0] or connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    storage.set_trial_user_attr(trial, "large", "x" * 100_000)
    storage.patience.seconds = 0.0
    with pytest.raises(StorageInternalError):
        storage.set_trial_system_attr(trial, "now", 1)
    limit[0] = 10_000
    storage.set_trial_state_values(trial, TrialState.COMPLETE, [1.0])
    stored = as_stored(f"sqlite:///{tmp_path}/s.db")
    assert len(stored.user_attrs["large"]) == 100_000
    assert json.dumps(stored.system_attrs) == '{"now": 1}'


def test_a_storage_of_optunas_is_taken_as_it_is_given(url: str) -> None:
    assert isinstance(connect(RDBStorage(url)), Relational)
    memory = optuna.storages.InMemoryStorage()
    assert connect(memory) is memory
