"""What the bench of faults counts, and that it does to real workers what it says."""

import time
from pathlib import Path

import optuna
import pytest
from click.testing import CliRunner
from optuna.trial import TrialState
from rich.console import Console

from optuna_nas.bench import faults
from optuna_nas.bench.accounts import account
from optuna_nas.cli import main
from optuna_nas.study.lease import LEASE


@pytest.fixture
def study() -> optuna.Study:
    made = optuna.create_study(study_name="s", directions=["maximize", "minimize"])
    made.set_metric_names(["accuracy", "parameters"])
    return made


def ended(study: optuna.Study, outcome: str, training: str, continues: int | None = None) -> int:
    trial = study.ask()
    trial.set_user_attr("training", training)
    if continues is not None:
        trial.set_user_attr("continues", continues)
    if outcome == "running":
        return trial.number
    trial.set_user_attr("outcome", outcome)
    if outcome == "lost":
        study._storage.set_trial_system_attr(trial._trial_id, LEASE, {"pid": 7})
        study.tell(trial, state=TrialState.FAIL)
        return trial.number
    found = {"accuracy": {"value": 0.5}, "parameters": {"value": 9.0}}
    trial.set_user_attr("measurements", found)
    study.tell(trial, [0.5, 9.0])
    return trial.number


def test_a_network_taken_up_again_is_finished_once(study, tmp_path: Path) -> None:
    killed = time.time()
    lost = ended(study, "lost", "a")
    again = ended(study, "trained", "a", lost)
    (tmp_path / "7.epochs").write_text(f"{lost} 1\n{lost} 2\n{lost} 3\n")
    (tmp_path / "8.epochs").write_text(f"{again} 2\n{again} 3\n{again} 4\n")
    (tmp_path / "8.told").write_text(f"{again} COMPLETE\n")
    found = account(study, tmp_path, {7: killed})
    assert [found[k] for k in ("finished", "lost", "duplicated", "stuck")] == [1, 0, 0, 0]
    assert (found["epochs"], found["epochs_repeated"], found["epochs_repeated_max"]) == (6, 2, 2)
    assert 0 <= found["recovery_seconds_max"] < 60
    assert found["front_equal"]
    assert (found["epochs_unsaved"], found["epochs_unsaved_max"]) == (0, 0)
    console = Console(record=True, width=100)
    console.print(faults.table({"storage": "sqlite", "workers": 1, "kills_done": 1, **found}))
    assert "epochs repeated" in console.export_text()


def test_epochs_lost_where_no_checkpoint_could_be_written_are_counted_apart(
    study, tmp_path: Path
) -> None:
    lost = ended(study, "lost", "a")
    again = ended(study, "trained", "a", lost)
    (tmp_path / "7.epochs").write_text(f"{lost} 1\n{lost} 2\n")
    (tmp_path / "8.epochs").write_text(f"{again} 1\n{again} 2\n{again} 3\n")
    (tmp_path / "7.refused").write_text(
        f"cannot save /tmp/c/{lost}-0123456789ab-0000ffff.ckpt: OSError: too large; going on\n"
    )
    found = account(study, tmp_path, {7: time.time()})
    assert (found["epochs_unsaved"], found["epochs_unsaved_max"], found["refused"]) == (2, 2, 1)
    assert (found["epochs_repeated"], found["epochs_repeated_max"]) == (0, 0)


def test_what_goes_wrong_is_counted_and_told(study, tmp_path: Path) -> None:
    ended(study, "lost", "a")
    ended(study, "trained", "b")
    twice = ended(study, "trained", "b")
    ended(study, "running", "c")
    (tmp_path / "7.told").write_text(f"{twice} PRUNED\n")
    found = account(study, tmp_path, {})
    assert [found[k] for k in ("lost", "duplicated", "stuck")] == [2, 1, 1]
    assert len(found["told"]) == 3


def test_a_storage_that_is_not_there_is_one_readable_error() -> None:
    wrong = CliRunner().invoke(main, ["bench", "faults", "--storage", "sqlite:////no/folder/x.db"])
    assert wrong.exit_code == 2
    assert "cannot use the storage" in wrong.output


def test_workers_outlive_a_kill_a_lock_and_a_full_disk(monkeypatch) -> None:
    monkeypatch.setattr(faults, "BETWEEN", 0.5)
    monkeypatch.setattr(faults, "AWAY", (0.5, 1.0))
    found = faults.run("journal", workers=2, kills=1, restarts=1, fills=1)
    assert [found[f"{kind}_done"] for kind in ("kills", "restarts", "fills")] == [1, 1, 1]
    wrong = ("failed", "lost", "duplicated", "stuck", "ended")
    assert {key: found[key] for key in wrong} == dict.fromkeys(wrong, 0), found["told"]
    assert found["finished"] and found["front_equal"]
