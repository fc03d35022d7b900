"""One process alone begins a study, whoever else asks at the same time or has died over it."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection

from optuna_nas.study import claim, lease
from optuna_nas.study.claim import beginning
from optuna_nas.study.storages.opening import connect

POSTGRESQL = os.environ.get("OPTUNA_NAS_POSTGRESQL", "")


@pytest.fixture
def url(absent) -> str:
    """A server, which hosts have in common."""
    if not POSTGRESQL:
        absent("no PostgreSQL: set OPTUNA_NAS_POSTGRESQL to its URL")
    return POSTGRESQL


@pytest.fixture
def name(url: str) -> Iterator[str]:
    name = f"claim-{uuid.uuid4().hex[:8]}"
    yield name
    storage = connect(url)
    optuna.delete_study(study_name=name, storage=storage)
    storage._backend.engine.dispose()


def test_of_two_hosts_that_begin_a_study_at_once_one_does(url, name, tmp_path) -> None:
    """Two processes that share nothing but the storage: no lock in a folder of the host."""
    script = Path(__file__).with_name("beginning.py")
    hosts = []
    for number in range(2):
        (tmp_path / f"host{number}").mkdir()
        hosts.append(
            subprocess.Popen(
                [sys.executable, str(script), name, url, str(tmp_path), "2"],
                env={**os.environ, "TMPDIR": str(tmp_path / f"host{number}")},
            )
        )
    assert [host.wait() for host in hosts] == [0, 0]
    (calibrated,) = tmp_path.glob("*.calibrated")
    storage = connect(url)
    study = optuna.load_study(study_name=name, storage=storage)
    assert study.user_attrs["calibrations"] == {"parameters": {"by": int(calibrated.stem)}}
    assert len(study.trials) == 2
    assert [n for n in optuna.get_all_study_names(storage) if n.startswith(name)] == [name]
    storage._backend.engine.dispose()


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(study_name="s", storage=InMemoryStorage())


def begun(study: optuna.Study) -> bool:
    return "begun" in study.user_attrs


def claimed(study: optuna.Study, name: str, **held) -> None:
    own = study._storage.create_new_study([StudyDirection.MINIMIZE], name)
    if held:
        study._storage.set_study_system_attr(own, lease.LEASE, lease.lease_for(1800.0) | held)


def test_who_died_over_it_is_replaced(study, monkeypatch) -> None:
    monkeypatch.setattr(claim, "BEGIN_SECONDS", -1.0)
    claimed(study, "s@beginning", started=0.0)  # the process of that id began later
    claimed(study, "s@beginning1")  # killed before it could say who it is
    claimed(study, "s@beginning2", host="elsewhere", renewed=0.0)
    with beginning(study, lambda: begun(study)) as own:
        assert own
        assert "s@beginning3" in optuna.get_all_study_names(study._storage)
        study.set_user_attr("begun", True)
    assert optuna.get_all_study_names(study._storage) == ["s"]


def test_who_lives_is_waited_for(study, monkeypatch) -> None:
    claimed(study, "s@beginning", host="elsewhere")
    looks = iter([False, False, False, True, True])
    monkeypatch.setattr(claim, "EVERY", 0.0)
    with beginning(study, lambda: next(looks)) as own:
        assert not own
    assert next(looks, None) is None


def test_who_fails_leaves_it_to_the_next(study) -> None:
    with pytest.raises(RuntimeError), beginning(study, lambda: begun(study)):
        raise RuntimeError
    assert optuna.get_all_study_names(study._storage) == ["s"]
    with beginning(study, lambda: begun(study)) as own:
        assert own


def test_who_comes_too_late_does_not_begin_again(study) -> None:
    """Another one began, and gave its claim back, between a look and the claim."""
    looks = iter([False, True, True])
    with beginning(study, lambda: next(looks)) as own:
        assert not own
    assert optuna.get_all_study_names(study._storage) == ["s"]
