"""Workers in a Ray cluster: a real one, of this host."""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Client
from pathlib import Path
from unittest.mock import Mock

import pytest
from crashing import Crashing
from little import little
from optuna.trial import TrialState

from optuna_nas.exceptions import DescriptionError
from optuna_nas.study.lease import LEASE
from optuna_nas.study.workers import Workers, on_ray
from optuna_nas.study.workers.messages import Ready


@pytest.fixture
def ray(absent: Callable[[str], object], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RAY_worker_niceness", "0")  # with 15 they starve beside other tests
    try:
        import ray
    except ImportError:
        absent('no Ray: pip install "optuna-nas[ray]"')
    yield
    ray.shutdown()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO.*:FutureWarning")
def test_a_cluster_runs_trials_and_outlives_a_crash(ray, tmp_path: Path) -> None:
    search = little("on-ray", module=Crashing(tmp_path / "crashed"))
    study = search.run(
        trials=2, storage=f"sqlite:///{tmp_path}/s.db", workers=Workers(1, launcher="ray")
    )
    states = [trial.state for trial in study.trials]
    assert states.count(TrialState.FAIL) == 1
    assert len(states) == 3 and all(state.is_finished() for state in states)
    assert os.getpid() not in {t.system_attrs[LEASE]["pid"] for t in study.trials}


def test_without_ray_the_error_says_how_to_install_it(monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DescriptionError, match=r"pip install \"optuna-nas\[ray\]\""):
        little("no-ray").run(
            trials=1, storage=f"sqlite:///{tmp_path}/s.db", workers=Workers(1, launcher="ray")
        )


def test_strangers_who_connect_are_sent_away(monkeypatch) -> None:
    monkeypatch.setattr(on_ray, "ANSWER_SECONDS", 1)
    ray, task = Mock(), Mock()
    ray.util.get_node_ip_address.return_value = "127.0.0.1"
    ray.wait.return_value = [], []
    worker = on_ray.RayTask(0, b"the search", ray, task)
    address, key = task.remote.call_args.args
    socket.create_connection(address).close()
    assert worker.hear() is None
    with socket.create_connection(address):  # and says nothing
        assert worker.hear() is None
    with socket.create_connection(address) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert worker.hear() is None

    def serve() -> None:
        with Client(address, authkey=key) as connection:
            connection.recv()
            assert connection.recv_bytes() == b"the search"
            threading.Event().wait(1.2)  # longer than it had for the key
            connection.send(Ready(None))

    served = threading.Thread(target=serve)
    served.start()
    assert worker.hear() is None
    assert worker.hear() == Ready(None)
    served.join()
    worker.end(0.0)
