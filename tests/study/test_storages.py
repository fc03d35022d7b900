"""Every kind of storage, for real: two processes at once, resume, dead workers, long texts."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from little import little
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from optuna_nas.exceptions import StudyError
from optuna_nas.study import lease
from optuna_nas.study.storages.opening import connect

SERVERS = {
    "postgresql": ("OPTUNA_NAS_POSTGRESQL", "postgresql://root@127.0.0.1:5432/test"),
    "mariadb": ("OPTUNA_NAS_MYSQL", "mysql+pymysql://root@127.0.0.1:3306/test"),
    "redis": ("OPTUNA_NAS_REDIS", "redis://127.0.0.1:6379/9"),
}


@pytest.fixture(params=["sqlite", "journal", "grpc", *SERVERS])
def url(request, tmp_path: Path, absent, imported) -> Iterator[str]:
    if request.param in SERVERS:
        variable, default = SERVERS[request.param]
        found = os.environ.get(variable, default)
        try:
            _close(connect(found))
        except StudyError as error:
            absent(f"{error}; {variable} may say where it is")
        yield found
    elif request.param == "grpc":
        imported("grpc")
        from optuna.storages._grpc.server import make_server

        backend = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/behind.db")
        port = _free_port()
        server = make_server(backend, "127.0.0.1", port)
        server.start()
        yield f"grpc://127.0.0.1:{port}"
        server.stop(None).wait()
    else:
        yield {
            "sqlite": f"sqlite:///{tmp_path}/study.db",
            "journal": f"{tmp_path}/study.journal",
        }[request.param]


@pytest.fixture
def opened(url: str) -> Iterator[Callable[[], BaseStorage]]:
    """Opens the storage as a new process does."""
    known: list[BaseStorage] = []

    def again() -> BaseStorage:
        known.append(connect(url))
        return known[-1]

    yield again
    for storage in known:
        _close(storage)


@pytest.fixture
def name(opened: Callable[[], BaseStorage]) -> Iterator[str]:
    name = f"storages-{uuid.uuid4().hex[:8]}"
    yield name
    optuna.delete_study(study_name=name, storage=opened())


@pytest.fixture(scope="module")
def other() -> Iterator[Callable[[str], None]]:
    """Another process that runs trials: told which by a line, awaited by the answer."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("little.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask(line: str) -> Callable[[], str]:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return process.stdout.readline

    yield ask
    process.communicate()


def test_a_search_is_shared_resumed_and_taken_up_again(url, opened, name, other) -> None:
    search, storage = little(name), opened()
    search.run(trials=1, storage=storage)
    answer = other(f"{name} 2 {url}")
    search.run(trials=2, storage=storage)
    assert answer() == "done\n"

    study = little(name).study(opened())
    assert [t.number for t in study.trials] == list(range(5))
    assert not [t for t in study.trials if t.state not in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert len({t.system_attrs[lease.LEASE]["pid"] for t in study.trials}) == 2

    long = {"text": 'ü"' * 100_000}
    study.set_user_attr("long", long)
    for changed in ({"pid": 2**22 + 1}, {"host": "elsewhere", "renewed": 1.0}):
        lost = study.ask()
        lost.set_user_attr("long", long)
        leased = {**lease.lease_for(300.0), **changed}
        study._storage.set_trial_system_attr(lost._trial_id, lease.LEASE, leased)

    study = little(name).run(trials=2, storage=opened())
    trials = study.get_trials()
    assert [t.user_attrs.get("outcome") for t in trials[5:7]] == ["lost", "lost"]
    assert [t.user_attrs.get("continues") for t in trials[7:]] == [5, 6]
    assert all(t.state.is_finished() for t in trials)
    assert trials[6].user_attrs["long"] == study.user_attrs["long"] == long


def _close(storage: BaseStorage) -> None:
    backend = getattr(storage, "_backend", None)
    if isinstance(backend, optuna.storages.RDBStorage):
        backend.engine.dispose()


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
