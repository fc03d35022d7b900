"""Workers in a Ray cluster: a real one, of this host."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from crashing import Crashing
from little import little
from optuna.trial import TrialState

from optuna_nas.exceptions import DescriptionError
from optuna_nas.study.lease import LEASE
from optuna_nas.study.workers import Workers


@pytest.fixture
def ray(absent: Callable[[str], object]) -> Iterator[None]:
    try:
        import ray
    except ImportError:
        absent('no Ray: pip install "optuna-nas[ray]"')
    yield
    ray.shutdown()


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
