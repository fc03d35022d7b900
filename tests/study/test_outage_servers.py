"""Redis and a gRPC proxy that go away for a while: nothing is lost, and nothing done twice."""

import os
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalRedisBackend
from optuna.trial import TrialState
from sqlalchemy.engine import make_url

from optuna_nas.bench.outages import Proxy
from optuna_nas.exceptions import StudyError
from optuna_nas.study.storages import patience, proxied
from optuna_nas.study.storages.opening import connect
from optuna_nas.study.storages.patience import Passing
from optuna_nas.study.storages.redis_journal import RedisJournal

REDIS = os.environ.get("OPTUNA_NAS_REDIS", "redis://127.0.0.1:6379/9")

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is there again is seen soon."""
    monkeypatch.setattr(patience, "LONGEST_WAIT", 0.2)
    monkeypatch.setattr(proxied, "RECONNECT_SECONDS", 0.2)


Served = tuple[BaseStorage, Proxy, Callable[[], BaseStorage]]
"""A storage that is reached by a proxy, that proxy, and what opens the storage without."""


@contextmanager
def redis_behind(imported: Callable[[str], Any], absent: Any) -> Iterator[Served]:
    redis, parts, prefix = imported("redis"), make_url(REDIS), f"o{uuid4().hex[:8]}"
    server = redis.Redis.from_url(REDIS)
    try:
        server.ping()
    except redis.RedisError as error:
        absent(f"{error}; OPTUNA_NAS_REDIS may say where it is")
    proxy = Proxy(parts.host or "127.0.0.1", parts.port or 6379)
    through = parts.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
    storage = JournalStorage(RedisJournal(through, prefix))
    yield storage, proxy, lambda: JournalStorage(JournalRedisBackend(REDIS, prefix=prefix))
    storage._backend._redis.close()
    proxy.close()
    for key in server.keys(f"{prefix}:*"):
        server.delete(key)
    server.close()


@contextmanager
def grpc_behind(imported: Callable[[str], Any], path: str) -> Iterator[Served]:
    imported("grpc")
    from optuna.storages._grpc.server import make_server

    backend = RDBStorage(f"sqlite:///{path}")
    port = _free_port()
    server = make_server(backend, "127.0.0.1", port)
    server.start()
    proxy = Proxy("127.0.0.1", port)
    storage = connect(f"grpc://127.0.0.1:{proxy.port}")
    yield storage, proxy, lambda: backend
    storage.close()
    proxy.close()
    server.stop(None).wait()
    backend.engine.dispose()


@pytest.fixture(params=["redis", "grpc"])
def served(
    request: pytest.FixtureRequest, absent: Any, imported: Any, tmp_path: Any
) -> Iterator[Served]:
    at_redis = request.param == "redis"
    path = f"{tmp_path}/s.db"
    behind = redis_behind(imported, absent) if at_redis else grpc_behind(imported, path)
    with behind as opened:
        yield opened


def trials_of(served: Served) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="s", storage=served[2]()).trials


def is_as_told(trials: list[optuna.trial.FrozenTrial], count: int) -> bool:
    """Whether they are those of `work`, each of them once, and nothing else."""
    assert [(t.state, t.values) for t in trials] == [
        (TrialState.COMPLETE, [float(n)]) for n in range(count)
    ]
    return all(
        set(t.params) == {"x"} and t.intermediate_values == {1: 0.5} and t.user_attrs == {"n": n}
        for n, t in enumerate(trials)
    )


def work(study: optuna.Study, number: int, disturb: Callable[[], None]) -> None:
    """One trial, disturbed before each step."""
    steps: list[Callable[[], Any]] = [
        lambda: trial.suggest_int("x", 0, 9),
        lambda: trial.report(0.5, 1),
        lambda: trial.set_user_attr("n", number),
        lambda: study.tell(trial, float(number)),
    ]
    disturb()
    trial = study.ask()
    for step in steps:
        disturb()
        step()


def test_connections_that_are_cut_lose_nothing_and_double_nothing(served: Served) -> None:
    storage, proxy, _ = served
    study = optuna.create_study(study_name="s", storage=storage)
    for number in range(3):
        work(study, number, proxy.cut)
    assert is_as_told(trials_of(served), 3)


def test_a_server_that_refuses_for_a_while_is_waited_for(served: Served) -> None:
    storage, proxy, _ = served
    study = optuna.create_study(study_name="s", storage=storage)

    def away() -> None:
        proxy.refusing = True
        proxy.cut()
        threading.Timer(0.3, setattr, (proxy, "refusing", False)).start()

    work(study, 0, away)
    assert is_as_told(trials_of(served), 1)


def test_who_knows_that_a_server_was_there_waits_for_it_to_begin(imported, absent, caplog) -> None:
    with redis_behind(imported, absent) as (storage, proxy, _):
        url = storage._backend._url
        proxy.refusing = True
        with pytest.raises(StudyError, match="cannot use the storage"):
            connect(url)
        assert "trying for" not in caplog.text
        threading.Timer(0.3, setattr, (proxy, "refusing", False)).start()
        opened = connect(url, seconds=60.0)
        assert opened._backend.patience.seconds == patience.PATIENCE
        assert "trying for" in caplog.text
        opened._backend._redis.close()


def test_a_network_that_hangs_only_delays(served: Served) -> None:
    storage, proxy, _ = served
    study = optuna.create_study(study_name="s", storage=storage)

    def hang() -> None:
        proxy.hang(True)
        threading.Timer(0.3, proxy.hang, (False,)).start()

    work(study, 0, hang)
    assert is_as_told(trials_of(served), 1)


def test_a_server_that_never_comes_back_is_told(served: Served) -> None:
    storage, proxy, _ = served
    study = optuna.create_study(study_name="s", storage=storage)
    where = storage if hasattr(storage, "patience") else storage._backend
    where.patience.seconds = 0.3
    with proxy.restart(), pytest.raises(StorageInternalError):
        study.ask()


def test_what_redis_has_done_without_an_answer_is_not_done_again(imported, absent, caplog) -> None:
    with redis_behind(imported, absent) as served:
        storage, proxy, plain = served
        study = optuna.create_study(study_name="s", storage=storage)
        undisturbed = len(list(plain()._backend.read_logs(0)))
        work(study, 0, lambda: None)
        entries = len(list(plain()._backend.read_logs(0))) - undisturbed
        work(study, 1, proxy.lose_an_answer)
        assert is_as_told(trials_of(served), 2)
        assert len(list(plain()._backend.read_logs(0))) == undisturbed + 2 * entries
        assert "the storage answers after" in caplog.text


def test_entries_of_plain_optuna_are_read_among_ours(imported, absent) -> None:
    with redis_behind(imported, absent) as (storage, _, plain):
        study = optuna.create_study(study_name="s", storage=pickle.loads(pickle.dumps(storage)))
        other = optuna.load_study(study_name="s", storage=plain())
        for number in range(4):
            (study, other)[number % 2].add_trial(optuna.create_trial(value=float(number)))
        assert [t.value for t in study.trials] == [0.0, 1.0, 2.0, 3.0]
        study._storage._backend._redis.close()


class Harm:
    """What is run where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise RuntimeError('unpickled')",)


def test_nothing_that_others_pickled_into_redis_is_loaded(imported, absent) -> None:
    with redis_behind(imported, absent) as (storage, _, plain):
        optuna.create_study(study_name="s", storage=storage)
        plain()._backend.save_snapshot(pickle.dumps(Harm()))
        with pytest.raises(RuntimeError, match="unpickled"):
            plain()
        again = JournalStorage(pickle.loads(pickle.dumps(storage._backend)))
        assert optuna.load_study(study_name="s", storage=again).trials == []
        again._backend._redis.close()


def test_a_redis_that_has_lost_its_journal_is_told(imported, absent) -> None:
    with redis_behind(imported, absent) as (storage, _, _):
        optuna.create_study(study_name="s", storage=storage)
        storage._backend._redis.delete(f"{storage._backend._prefix}:log_number")
        with pytest.raises(StorageInternalError, match="has lost what it had"):
            storage.get_all_studies()
        optuna.create_study(study_name="again", storage=JournalStorage(storage._backend))


def test_what_a_proxied_storage_has_done_without_an_answer_is_not_done_again(
    imported, tmp_path
) -> None:
    with grpc_behind(imported, f"{tmp_path}/s.db") as served:
        storage = served[0]
        study = optuna.create_study(study_name="s", storage=storage)
        calls = dict(vars(storage._stub))
        unanswered: set[str] = set()

        def deaf(name: str, request: Any) -> Any:
            answer = calls[name](request)
            if name not in unanswered:
                unanswered.add(name)
                raise Passing("the answer is lost")
            return answer

        for name in calls:
            setattr(storage._stub, name, lambda request, name=name: deaf(name, request))
        first = optuna.create_trial(
            params={"x": 3},
            distributions={"x": optuna.distributions.IntDistribution(0, 9)},
            value=0.0,
            intermediate_values={1: 0.5},
            user_attrs={"n": 0},
        )
        study.add_trial(first)
        assert "nas:made" not in first.system_attrs
        work(study, 1, unanswered.clear)
        assert is_as_told(trials_of(served), 2)
        unanswered.clear()
        optuna.delete_study(study_name="s", storage=storage)
        assert not served[2]().get_all_studies()


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
