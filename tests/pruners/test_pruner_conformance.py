"""What any pruner of several objectives must do, in every storage.

`PrunerConformance` is for outsiders too: subclass it and give the pruner.
"""

import math
import os
import pickle
import socket
import threading
import uuid
from contextlib import contextmanager

import optuna
import pytest
from optuna.storages import GrpcStorageProxy, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages._grpc.server import make_server
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from optuna_nas.pruners import ParetoHyperband, ParetoSuccessiveHalving, report, should_prune

POSTGRESQL = os.environ.get(
    "OPTUNA_NAS_POSTGRESQL", "postgresql+psycopg2://root@127.0.0.1:5432/test"
)
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
        yield postgresql()


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


class PrunerConformance:
    """Give `make_pruner`, of a pruner that has a rung within the first four steps."""

    steps = range(1, 5)

    def make_pruner(self):
        raise NotImplementedError

    @pytest.fixture(params=STORAGES)
    def storage(self, request, tmp_path):
        with open_storage(request.param, tmp_path) as storage:
            yield storage

    def make_study(self, storage=None, directions=("maximize", "minimize"), name=None):
        return optuna.create_study(
            storage=storage,
            directions=list(directions),
            pruner=self.make_pruner(),
            study_name=name,
        )

    def train(self, study, number, reload=lambda study: study):
        """Train a trial whose values depend on its number; the decisions taken."""
        trial, decisions = study.ask(), []
        cost = (number * 7) % 11 + 1.0
        for step in self.steps:
            accuracy = ((number * 5) % 13) * step / 13
            report(trial, step, dict(enumerate((accuracy, cost)[: len(study.directions)])))
            trial = optuna.Trial(reload(study), trial._trial_id)
            decisions.append(should_prune(trial))
            if decisions[-1]:
                study.tell(trial, state=TrialState.PRUNED)
                return decisions
        study.tell(trial, (1.0, 1.0)[: len(study.directions)])
        return decisions

    def test_it_prunes_some_trials_and_keeps_some_in_every_storage(self, storage):
        study = self.make_study(storage)
        for number in range(15):
            self.train(study, number)
        states = [trial.state for trial in study.trials]
        assert {TrialState.PRUNED, TrialState.COMPLETE} <= set(states)
        assert not any(trial.intermediate_values for trial in study.trials)
        optuna.delete_study(study_name=study.study_name, storage=study._storage)

    def test_decisions_do_not_depend_on_the_storage_or_on_a_resume(self, storage):
        def resumed(study):
            return optuna.load_study(
                study_name=study.study_name, storage=study._storage, pruner=self.make_pruner()
            )

        name = f"equal-{uuid.uuid4()}"
        ours, plain = self.make_study(storage, name=name), self.make_study(name=name)
        for number in range(12):
            assert self.train(ours, number, resumed) == self.train(plain, number)
        optuna.delete_study(study_name=ours.study_name, storage=ours._storage)

    def test_workers_that_share_a_study_can_prune_at_once(self):
        study = self.make_study()
        workers = [
            threading.Thread(target=lambda: [self.train(study, n) for n in range(10)])
            for _ in range(4)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert all(trial.state.is_finished() for trial in study.trials)
        assert len(study.trials) == 40

    @pytest.mark.parametrize("directions", [["minimize"], ["minimize"] * 2, ["maximize"] * 3])
    def test_it_takes_any_number_of_objectives(self, directions):
        trial = self.make_study(directions=directions).ask()
        for step in self.steps:
            report(trial, step, dict.fromkeys("abc"[: len(directions)], 1.0))
            assert not should_prune(trial)

    def test_it_keeps_a_trial_that_has_not_reported(self):
        assert not should_prune(self.make_study().ask())

    def test_nan_is_pruned_within_the_first_steps(self):
        trial = self.make_study().ask()
        decisions = []
        for step in self.steps:
            report(trial, step, {"a": math.nan, "b": 1.0})
            decisions.append(should_prune(trial))
        assert any(decisions)

    def test_it_can_be_pickled(self):
        pickle.loads(pickle.dumps(self.make_pruner()))


class TestParetoSuccessiveHalving(PrunerConformance):
    def make_pruner(self):
        return ParetoSuccessiveHalving(min_resource=1, reduction_factor=2)


class TestParetoHyperband(PrunerConformance):
    def make_pruner(self):
        return ParetoHyperband(min_resource=1, max_resource=4, reduction_factor=2)
