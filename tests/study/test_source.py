"""The file of a study: another machine runs the same one, or says how its own differs."""

from pathlib import Path

import optuna
import pytest

from optuna_nas.exceptions import StudyError
from optuna_nas.study.workers.source import find, keep


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("mine.py")
    path.write_text('search = 1\nurl = "redis://:secret@host"\n')
    return path


def test_a_worker_finds_the_file_in_its_directory(file: Path, tmp_path: Path) -> None:
    study = optuna.create_study()
    keep(study, file, smoke=True)
    assert find(study, None) == (Path("mine.py"), True)
    moved = file.rename(tmp_path / "other.py")
    with pytest.raises(StudyError, match=r"got no mine\.py"):
        find(study, None)
    assert find(study, moved) == (moved, True)


def test_another_text_is_refused_and_the_difference_shown(file: Path) -> None:
    study = optuna.create_study()
    keep(study, file, smoke=False)
    file.write_text('search = 2\nurl = "redis://:secret@host"\n')
    with pytest.raises(StudyError) as caught:
        find(study, None)
    assert "-search = 1" in str(caught.value) and "+search = 2" in str(caught.value)
    keep(study, file, smoke=False)
    assert find(study, None) == (file, False)


def test_no_password_is_stored(file: Path) -> None:
    study = optuna.create_study()
    keep(study, file, smoke=False)
    assert "secret" not in str(study.user_attrs) and "redis://:***@host" in str(study.user_attrs)


def test_what_is_stored_names_a_file_of_this_directory_alone(file: Path, tmp_path: Path) -> None:
    study = optuna.create_study()
    keep(study, file, smoke=False)
    elsewhere = tmp_path / "elsewhere" / "evil.py"
    elsewhere.parent.mkdir()
    elsewhere.write_text(file.read_text())
    study.set_user_attr("source", {**study.user_attrs["source"], "file": str(elsewhere)})
    with pytest.raises(StudyError, match=r"got no evil\.py"):
        find(study, None)


def test_a_study_begun_by_a_script_needs_a_file(file: Path) -> None:
    study = optuna.create_study(study_name="s")
    with pytest.raises(StudyError, match="--file"):
        find(study, None)
    assert find(study, file) == (file, False)
