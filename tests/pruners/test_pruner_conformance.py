"""Our pruners do what any pruner of several objectives must do, in every storage of Optuna."""

import os
import socket
from contextlib import contextmanager

import pytest
from optuna.storages import GrpcStorageProxy, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages._grpc.server import make_server
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import OperationalError

from optuna_nas.pruners import LearningCurve, ParetoHyperband, ParetoSuccessiveHalving
from optuna_nas.testing import PrunerConformance

POSTGRESQL = os.environ.get("OPTUNA_NAS_POSTGRESQL", "postgresql://root@127.0.0.1:5432/test")
STORAGES = ("in memory", "sqlite", "journal", "grpc", "postgresql")


@contextmanager
def open_storage(kind, folder):
    """A fresh storage of each kind that Optuna has."""
    sqlite = f"sqlite:///{folder / 'study.db'}"
    if kind == "in memory":
        yield InMemoryStorage()
    elif kind == "sqlite":
        yield RDBStorage(sqlite)
    elif kind == "journal":
        yield JournalStorage(JournalFileBackend(str(folder / "study.log")))
    elif kind == "grpc":
        with grpc_over(InMemoryStorage()) as proxy:
            yield proxy
    else:
        storage = postgresql()
        yield storage
        storage.remove_session()
        storage.engine.dispose()


def postgresql():
    """The database that OPTUNA_NAS_POSTGRESQL names, or a local one."""
    try:
        return RDBStorage(POSTGRESQL)
    except (ImportError, OperationalError) as error:
        fail = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        fail(f"no PostgreSQL, set OPTUNA_NAS_POSTGRESQL to a database's URL: {error}")


@contextmanager
def grpc_over(storage):
    """A proxy to a storage that is served over gRPC."""
    with socket.create_server(("localhost", 0)) as probe:
        port = probe.getsockname()[1]
    server = make_server(storage, "localhost", port)
    server.start()
    proxy = GrpcStorageProxy(host="localhost", port=port)
    proxy.wait_server_ready(timeout=30)
    try:
        yield proxy
    finally:
        proxy.close()
        server.stop(None).wait()


class EveryStorage(PrunerConformance):
    @pytest.fixture(params=STORAGES)
    def storage(self, request, tmp_path):
        with open_storage(request.param, tmp_path) as storage:
            yield storage


class TestParetoSuccessiveHalving(EveryStorage):
    def make_pruner(self):
        return ParetoSuccessiveHalving(min_resource=1, reduction_factor=2)


class TestParetoHyperband(EveryStorage):
    def make_pruner(self):
        return ParetoHyperband(min_resource=1, max_resource=4, reduction_factor=2)


class TestLearningCurve(EveryStorage):
    def make_pruner(self):
        return LearningCurve(warmup=2, startup=4)
