"""Studies with a number of finished trials, as random search leaves them, on every storage.

storage, number -> filled -> a place with that many trials, again and again
"""

from __future__ import annotations

import multiprocessing
import random
import shutil
import socket
import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.storages.journal import JournalFileBackend, JournalRedisBackend
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import delete, insert, select

from optuna_nas.study.storages.opening import JOURNALS, connect
from optuna_nas.study.storages.redis_journal import RedisJournal

__all__ = ["SPACE", "Place", "filled", "finished_trial", "opened", "values_of"]

SPACE: dict[str, BaseDistribution] = {
    **{f"number{i}": IntDistribution(1, 9) for i in range(20)},
    **{f"word{i}": CategoricalDistribution(("a", "b", "c")) for i in range(20)},
}
PROXY = "grpc:"
"""What comes before the URL of a database behind Optuna's gRPC proxy."""
CHILDREN = (
    models.TrialParamModel,
    models.TrialValueModel,
    models.TrialUserAttributeModel,
    models.TrialSystemAttributeModel,
    models.TrialIntermediateValueModel,
    models.TrialHeartbeatModel,
)
"""Tables whose rows belong to a trial."""

Place = tuple[str | BaseStorage, str]
"""URL or storage, and name of the study in it."""
Places = Callable[[bool], AbstractContextManager[Place]]
"""Ours, or Optuna's -> a place where work may go on, and of which nothing is left afterwards."""


def values_of(numbers: list[int], words: list[str]) -> tuple[float, float]:
    """Objectives of a trial."""
    return float(sum(numbers)), float(words.count("a") - numbers[0])


def finished_trial(rng: random.Random) -> FrozenTrial:
    """A trial with random parameters."""
    numbers = [rng.randint(1, 9) for _ in range(20)]
    words = [rng.choice("abc") for _ in range(20)]
    values = values_of(numbers, words)
    return create_trial(
        params=dict(zip(SPACE, [*numbers, *words], strict=True)),
        distributions=SPACE,
        values=values,
        system_attrs={"nas:step:1": values, "completed_rung_0": values},
    )


def opened(place: Place, ours: bool) -> BaseStorage:
    """The storage of a place, as a search opens it, or as Optuna does."""
    where, name = place
    if not isinstance(where, str):
        return where
    if where.startswith("redis"):
        kind = RedisJournal if ours else JournalRedisBackend
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return JournalStorage(kind(where, prefix=name))
    if ours or where.startswith("grpc:"):
        return connect(where)
    if where.endswith(JOURNALS):
        return JournalStorage(JournalFileBackend(where))
    return optuna.storages.get_storage(where)


@contextmanager
def filled(storage: str, finished: int) -> Iterator[Places]:
    """Fill a storage for as long as the block runs.

    Args:
        storage: `memory`, `sqlite` or `journal` (files in the temporary folder), the URL of an
            SQLite file or the path of a journal (files beside it), the URL of a database or of
            Redis, or `grpc:` and the URL of a database to put behind Optuna's proxy.
        finished: Number of trials.
    """
    if storage == "memory":
        yield lambda ours: _in_memory(finished)
    elif storage.startswith("redis"):
        place = _study(storage, finished)
        with _redis_of(place) as (client, last):
            yield lambda ours: _in_redis(place, client, last)
    elif storage == "journal" or storage.endswith(JOURNALS):
        with _folder(storage) as folder:
            place = _study(f"{folder}/filled.log", finished)
            yield lambda ours: _copied(place, shutil.copyfile, "log")
    elif storage.startswith("sqlite"):
        with _folder(storage) as folder:
            place = _study(f"sqlite:///{folder}/filled.db", finished)
            yield lambda ours: _copied(place, _vacuum, "db")
    else:
        url = storage.removeprefix(PROXY)
        place = _study(url, finished)
        try:
            yield partial(_in_database, place, finished, url != storage)
        finally:
            _delete(place)


@contextmanager
def _folder(storage: str) -> Iterator[Path]:
    """A folder beside a file, or in the temporary one."""
    path = storage.removeprefix("sqlite:///")
    beside = None if path in ("sqlite", "journal") else Path(path).absolute().parent
    with tempfile.TemporaryDirectory(prefix="optuna-nas-overhead-", dir=beside) as folder:
        yield Path(folder)


def _study(where: str | BaseStorage, finished: int) -> Place:
    """A new study with finished trials."""
    place = (where, f"bench-overhead-{uuid4().hex[:8]}")
    with _reached(place) as storage:
        _fill(
            optuna.create_study(study_name=place[1], storage=storage, directions=["minimize"] * 2),
            finished,
        )
    return place


@contextmanager
def _in_memory(finished: int) -> Iterator[Place]:
    yield _study(InMemoryStorage(), finished)


@contextmanager
def _redis_of(place: Place) -> Iterator[tuple[Any, int]]:
    """The server of a place and the number of the last entry there, until the block ends."""
    import redis

    client: Any = redis.Redis.from_url(str(place[0]))
    try:
        yield client, int(client.get(f"{place[1]}:log_number"))
    finally:
        for key in client.scan_iter(f"{place[1]}:*", count=10_000):
            client.delete(key)
        client.close()


@contextmanager
def _in_redis(place: Place, client: Any, last: int) -> Iterator[Place]:
    yield place
    name = place[1]
    written = int(client.get(f"{name}:log_number"))
    client.set(f"{name}:log_number", last)
    client.delete(f"{name}:snapshot", *(f"{name}:log:{i + 1}" for i in range(last, written)))


@contextmanager
def _copied(place: Place, copy: Callable[[str, str], object], ending: str) -> Iterator[Place]:
    where, name = place
    path = str(where).removeprefix("sqlite:///")
    fresh = f"{Path(path).parent}/{uuid4().hex}.{ending}"
    copy(path, fresh)
    yield str(where).replace(path, fresh), name
    for file in Path(path).parent.glob(f"{Path(fresh).name}*"):
        file.unlink()


def _vacuum(path: str, fresh: str) -> None:
    """A copy that is not set up for writing ahead."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (fresh,))


@contextmanager
def _in_database(place: Place, finished: int, served: bool, ours: bool) -> Iterator[Place]:
    if served:
        with _proxy(place, ours) as url:
            yield url, place[1]
    else:
        yield place
    _leave(place, finished)


def _leave(place: Place, finished: int) -> None:
    """Delete all trials of a study in a database but the first ones."""
    with _reached(place) as storage:
        study_id = storage.get_study_id_from_name(place[1])
        added = models.TrialModel.study_id == study_id, models.TrialModel.number >= finished
        keys = select(models.TrialModel.trial_id).where(*added)
        with _database(storage).engine.begin() as connection:
            for model in CHILDREN:
                connection.execute(delete(model).where(model.trial_id.in_(keys)))
            connection.execute(delete(models.TrialModel).where(*added))


def _delete(place: Place) -> None:
    _leave(place, 0)  # Optuna would read all trials in order to delete them
    with _reached(place) as storage:
        optuna.delete_study(study_name=place[1], storage=storage)


@contextmanager
def _reached(place: Place) -> Iterator[BaseStorage]:
    """The storage of a place, whose connections end with the block."""
    storage = opened(place, ours=True)
    yield storage
    if (database := _database(storage)) is not None:
        database.engine.dispose()


def _database(storage: BaseStorage) -> Any:
    """Optuna's storage of a database, which is reached through a cache; None of other kinds."""
    backend = getattr(storage, "_backend", None)
    return backend if isinstance(backend, RDBStorage) else None


@contextmanager
def _proxy(place: Place, ours: bool) -> Iterator[str]:
    """Optuna's server in front of a database, which a process of its own runs."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(place, ours, port))
    server.start()
    url = f"grpc://127.0.0.1:{port}"
    try:
        connect(url)
        yield url
    finally:
        server.terminate()
        server.join()


def _serve(place: Place, ours: bool, port: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", ExperimentalWarning)
    optuna.storages.run_grpc_proxy_server(opened(place, ours), host="127.0.0.1", port=port)


def _fill(study: optuna.Study, count: int) -> None:
    """Give a study finished trials, as random search leaves them."""
    made = [finished_trial(random.Random(number)) for number in range(count)]
    database = _database(study._storage)
    if database is None:
        study.add_trials(made)
        return
    # As trials are added one by one, ten thousand of them would take minutes.
    kinds = {name: optuna.distributions.distribution_to_json(kind) for name, kind in SPACE.items()}
    trials, params, values = (
        model.__table__
        for model in (models.TrialModel, models.TrialParamModel, models.TrialValueModel)
    )
    rows: list[dict[str, Any]] = [
        {
            "study_id": study._study_id,
            "number": number,
            "state": TrialState.COMPLETE,
            "datetime_start": trial.datetime_start,
            "datetime_complete": trial.datetime_complete,
        }
        for number, trial in enumerate(made)
    ]
    with database.engine.begin() as connection:
        connection.execute(insert(trials), rows)
        own = select(trials.c.trial_id).where(trials.c.study_id == study._study_id)
        keys = connection.scalars(own.order_by(trials.c.number)).all()
        rows = [
            {
                "trial_id": key,
                "param_name": name,
                "param_value": SPACE[name].to_internal_repr(value),
                "distribution_json": kinds[name],
            }
            for key, trial in zip(keys, made, strict=True)
            for name, value in trial.params.items()
        ]
        connection.execute(insert(params), rows)
        rows = [
            {"trial_id": key, "objective": place, "value": value, "value_type": "FINITE"}
            for key, trial in zip(keys, made, strict=True)
            for place, value in enumerate(trial.values)
        ]
        connection.execute(insert(values), rows)
