"""`optuna-nas worker`: it takes part knowing a storage and a name, and runs no other file."""

import re
from pathlib import Path

import click
import optuna
import pytest
from click.testing import CliRunner

from optuna_nas.cli import main
from optuna_nas.study.storages import opening

STUDY = """
from little import little
search = little("joined", trials=4)
"""


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where a study of one trial is, which `optuna-nas run` has begun from another directory."""
    begun = tmp_path / "begun" / "joined.py"
    begun.parent.mkdir()
    begun.write_text(STUDY)
    url = f"sqlite:///{tmp_path}/s.db"
    assert call("run", begun, "--storage", url, "--trials", "1", "--seed", "3").exit_code == 0
    monkeypatch.chdir(tmp_path)
    return url


def call(*args: object, **variables: str) -> click.testing.Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], env=variables)


def test_a_worker_adds_trials_until_the_study_has_them(storage: str) -> None:
    Path("joined.py").write_text(STUDY)
    result = call("worker", "--study", "joined", OPTUNA_NAS_STORAGE=storage)
    assert result.exit_code == 0, result.output
    assert len(optuna.load_study(study_name="joined", storage=storage).trials) == 4
    again = call("worker", "--study", "joined", "--storage", storage)
    assert again.exit_code == 0 and "--until goes further" in again.output
    assert call("worker", "--study", "joined", "--storage", storage, "--until", 5).exit_code == 0
    assert len(optuna.load_study(study_name="joined", storage=storage).trials) == 5


def test_code_that_differs_is_refused_before_it_runs(storage: str) -> None:
    Path("joined.py").write_text(STUDY + "\nraise SystemExit('it ran')\n")
    result = call("worker", "--study", "joined", "--storage", storage)
    assert result.exit_code == 2
    assert "it ran')" in result.stderr and re.search(r"^\s+\+raise", result.stderr, re.M)


def test_what_is_missing_is_said(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optuna_nas.cli.worker.WAIT_SECONDS", 0.0)
    result = call("worker", "--study", "joined", "--storage", storage)
    assert result.exit_code == 2 and "got no joined.py" in result.stderr
    result = call("worker", "--study", "other", "--storage", storage)
    assert result.exit_code == 2 and "joined" in result.stderr
    result = call("worker", "--study", "joined", "--storage", "mysql+pymysql://u:pw@127.0.0.1:1/d")
    assert result.exit_code == 2 and "u:***@" in result.stderr and "pw@" not in result.output


def test_a_worker_waits_for_a_storage_that_is_away(storage: str, monkeypatch, caplog) -> None:
    Path("joined.py").write_text(STUDY)
    away, opened = iter([ConnectionError("it restarts")]), opening._open

    def restarting(url: str) -> optuna.storages.BaseStorage:
        for error in away:
            raise error
        return opened(url)

    monkeypatch.setattr(opening, "_open", restarting)
    result = call("worker", "--study", "joined", "--storage", storage, "--until", 1)
    assert result.exit_code == 0, result.output
    assert "it restarts; trying for 300 s" in caplog.text
