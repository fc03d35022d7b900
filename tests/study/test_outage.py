"""A database that goes away for a while, and a network that hangs: no trial is lost."""

import multiprocessing
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit
from uuid import uuid4

import cloudpickle
import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from optuna_nas.bench.outages import Proxy
from optuna_nas.exceptions import StudyError
from optuna_nas.study.storages import patience
from optuna_nas.study.storages.opening import connect
from optuna_nas.study.workers import worker
from optuna_nas.study.workers.interrupts import Interrupts

POSTGRESQL = os.environ.get("OPTUNA_NAS_POSTGRESQL", "")


@pytest.fixture
def proxy(absent) -> Iterator[Proxy]:
    if not POSTGRESQL:
        absent("no PostgreSQL: set OPTUNA_NAS_POSTGRESQL to its URL")
    parts = urlsplit(POSTGRESQL)
    between = Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    yield between
    between.close()


@pytest.fixture
def study(proxy: Proxy, monkeypatch) -> Iterator[optuna.Study]:
    monkeypatch.setattr(patience, "LONGEST_WAIT", 0.2)
    url = urlsplit(POSTGRESQL)
    through = url._replace(netloc=f"{url.username}@127.0.0.1:{proxy.port}").geturl()
    name = f"outage-{uuid4().hex[:8]}"
    made = optuna.create_study(study_name=name, storage=connect(through))
    yield made
    made._storage._backend.engine.dispose()
    with direct() as storage:
        optuna.delete_study(study_name=name, storage=storage)


@contextmanager
def direct() -> Iterator[optuna.storages.RDBStorage]:
    storage = optuna.storages.RDBStorage(POSTGRESQL)
    yield storage
    storage.engine.dispose()


def stored(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    with direct() as storage:
        return optuna.load_study(study_name=study.study_name, storage=storage).trials


def test_connections_that_are_cut_lose_nothing(proxy: Proxy, study: optuna.Study, caplog) -> None:
    for number in range(6):
        trial = study.ask()
        trial.suggest_int("x", 0, 9)
        proxy.cut()
        trial.report(0.5, 1)
        trial.set_user_attr("number", number)
        proxy.cut()
        study.tell(trial, float(number))
    found = stored(study)
    complete = [t for t in found if t.state == TrialState.COMPLETE]
    assert [t.values for t in complete] == [[float(n)] for n in range(6)]
    assert [t.user_attrs["number"] for t in complete] == list(range(6))
    assert all("x" in t.params and t.intermediate_values == {1: 0.5} for t in complete)
    assert "the storage answers after" in caplog.text


@pytest.mark.parametrize("table", ["trials", "trial_params", "trial_values"])
def test_a_connection_that_is_cut_between_two_reads_loses_nothing(proxy, study, table) -> None:
    """Optuna then asks once more within the broken transaction, and is refused."""
    study.tell(study.ask({"x": optuna.distributions.IntDistribution(0, 9)}), 1.0)
    engine = study._storage._backend.engine
    cuts: list[str] = []

    def cut(connection, cursor, statement: str, *_: object) -> None:
        if f"FROM {table}" in statement.replace("\n", " ") and not cuts:
            cuts.append(statement)
            proxy.cut()

    event.listen(engine, "before_cursor_execute", cut)
    again = optuna.load_study(study_name=study.study_name, storage=study._storage)
    study._storage._studies.clear()  # nothing of it was read before
    (trial,) = again.get_trials()
    event.remove(engine, "before_cursor_execute", cut)
    assert cuts and trial.values == [1.0] and "x" in trial.params


def test_a_server_that_refuses_for_a_while_is_waited_for(proxy, study) -> None:
    trial = study.ask()
    trial.suggest_int("x", 0, 9)
    proxy.refusing = True
    proxy.cut()

    def back() -> None:
        proxy.refusing = False

    timer = threading.Timer(1.0, back)
    timer.start()
    study.tell(trial, 1.0)
    timer.join()
    (only,) = stored(study)
    assert (only.state, only.values, set(only.params)) == (TrialState.COMPLETE, [1.0], {"x"})


def test_a_worker_that_begins_in_an_outage_waits(proxy, study, monkeypatch, caplog) -> None:
    """Its parent has reached the database, and has sent it the storage."""
    begun: list[list[str]] = []

    def begin(search: None, storage: optuna.storages.BaseStorage, *_: object) -> None:
        begun.append(optuna.get_all_study_names(storage))
        storage._backend.engine.dispose()

    monkeypatch.setattr(worker, "_serve", begin)
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        ours.send((sys.path, (0, 0)))
        ours.send_bytes(cloudpickle.dumps((None, study._storage)))
        proxy.refusing = True
        proxy.cut()
        threading.Timer(0.5, setattr, (proxy, "refusing", False)).start()
        worker.serve(theirs)
        assert not ours.poll()  # it tells of no death
    assert len(begun) == 1 and study.study_name in begun[0]
    assert "trying for" in caplog.text


@pytest.mark.parametrize("wrong", ["/no-such-database", "-no-such-host.invalid:5432/test"])
def test_what_is_wrong_with_a_url_is_told_at_once(proxy, monkeypatch, wrong: str) -> None:
    monkeypatch.setattr(patience, "_sleep", lambda *_: pytest.fail("it waits"))
    url = urlsplit(POSTGRESQL)
    where, _, name = wrong.partition("/")
    netloc = f"{url.username}@{where or url.netloc.rpartition('@')[2]}"
    with pytest.raises(StudyError, match="cannot use the storage"):
        connect(url._replace(netloc=netloc, path=name).geturl(), seconds=60.0)


def test_a_network_that_hangs_only_delays(proxy: Proxy, study: optuna.Study) -> None:
    trial = study.ask()
    proxy.hang(True)
    timer = threading.Timer(1.0, proxy.hang, args=(False,))
    timer.start()
    trial.suggest_int("x", 0, 9)
    study.tell(trial, 1.0)
    timer.join()
    assert [t.values for t in stored(study)] == [[1.0]]


def test_a_network_that_never_comes_back_is_told(proxy: Proxy, study: optuna.Study) -> None:
    study._storage.patience.seconds = 0.5
    proxy.refusing = True
    proxy.cut()
    started = time.monotonic()
    with pytest.raises(optuna.exceptions.StorageInternalError):
        study.ask()
    assert time.monotonic() > started + 0.5
    proxy.refusing = False


@pytest.fixture
def interrupts(monkeypatch) -> Iterator[None]:
    monkeypatch.setattr(patience, "interrupted", False)
    Interrupts([signal.SIGUSR1])
    yield
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def test_an_interrupt_ends_the_wait_for_a_storage(tmp_path, interrupts) -> None:
    storage = connect(f"sqlite:///{tmp_path}/s.db")

    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))

    def fail(*_: object) -> None:
        if timer.ident is None:  # now, and no sooner, it is waited for
            timer.start()
        raise OperationalError("", {}, sqlite3.OperationalError("database is locked"))

    event.listen(storage._backend.engine, "before_cursor_execute", fail)
    with pytest.raises(KeyboardInterrupt):
        with suppress(optuna.exceptions.StorageInternalError):
            storage.get_all_studies()
        time.sleep(1000)
    timer.join()


def test_a_path_of_the_users_blocks_no_interrupt(interrupts) -> None:
    code = compile("signal.raise_signal(signal.SIGUSR1)", "/home/me/storages/nets.py", "exec")
    with pytest.raises(KeyboardInterrupt):
        exec(code, {"signal": signal})
