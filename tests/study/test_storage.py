"""Opening storages: errors that say what to do, and never a password."""

import optuna
import pytest

from optuna_nas.exceptions import StudyError
from optuna_nas.study.opening import connect, masked
from optuna_nas.study.storage import hold_to, load, mark


@pytest.mark.parametrize(
    "url", ["nonsense", "sqlite:///no/such/folder/x.db", "oracle9://u:secret@h/d"]
)
def test_a_wrong_url_is_one_readable_error(url: str) -> None:
    with pytest.raises(StudyError, match=r"expected a URL|not installed|cannot use") as caught:
        connect(url)
    assert "secret" not in str(caught.value)


def test_an_unreachable_server_does_not_show_the_password() -> None:
    with pytest.raises(StudyError) as caught:
        connect("postgresql://root:secret@127.0.0.1:1/test")
    assert "secret" not in str(caught.value)
    assert "root:***@127.0.0.1" in str(caught.value)


def test_masked_leaves_urls_without_a_password_alone() -> None:
    assert masked("sqlite:///a/b.db") == "sqlite:///a/b.db"
    assert masked("see redis://me:pw@host:1/0!") == "see redis://me:***@host:1/0!"
    assert masked("redis://:pw@host:1") == "redis://:***@host:1"
    assert masked("mysql+pymysql://h/d?password=pw&x=1") == "mysql+pymysql://h/d?password=***&x=1"


def test_loading_a_study_that_is_not_there_lists_those_that_are(tmp_path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    optuna.create_study(study_name="here", storage=url)
    with pytest.raises(StudyError, match=r"'gone'.*here"):
        load("gone", url)


def test_a_changed_description_is_refused_with_what_changed() -> None:
    study = optuna.create_study(study_name="s")
    hold_to(study, {"seed": 0, "space": {"blocks": [3, 5]}}, on_device=True)
    mark(study, {"seed": 0, "space": {"blocks": [3, 5]}})
    hold_to(study, {"seed": 0, "space": {"blocks": [3, 5]}}, on_device=True)
    with pytest.raises(StudyError, match=r"space.blocks\[1\]: 5 -> 6"):
        hold_to(study, {"seed": 0, "space": {"blocks": [3, 6]}}, on_device=True)


def test_a_changed_device_is_refused_where_it_matters() -> None:
    study = optuna.create_study(study_name="s")
    mark(study, {"seed": 0})
    study.set_user_attr("device", {**study.user_attrs["device"], "processor": "abacus"})
    hold_to(study, {"seed": 0}, on_device=False)
    with pytest.raises(StudyError, match=r"device.processor: \"abacus\"[\s\S]*--remeasure"):
        hold_to(study, {"seed": 0}, on_device=True)


def journal_mode(storage) -> str:
    with storage._backend.engine.connect() as connection:
        return connection.exec_driver_sql("PRAGMA journal_mode").scalar()


def test_sqlite_files_log_ahead_on_a_local_disk_alone(tmp_path, monkeypatch, caplog) -> None:
    assert journal_mode(connect(f"sqlite:///{tmp_path}/local.db")) == "wal"
    assert journal_mode(connect("sqlite:///:memory:")) == "memory"
    monkeypatch.setattr("optuna_nas.study.sqlite._file_system", lambda path: "nfs4")
    assert journal_mode(connect(f"sqlite:///{tmp_path}/remote.db")) == "delete"
    assert "network file system (nfs4)" in caplog.text
