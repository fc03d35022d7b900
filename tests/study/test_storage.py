"""Opening storages: errors that say what to do, and never a password."""

import errno
import json
import os
import sys
from importlib.util import find_spec

import optuna
import pytest
from little import little
from optuna.exceptions import StorageInternalError

from optuna_nas.exceptions import StudyError
from optuna_nas.study.resuming import check_schema, hold_to, load, mark
from optuna_nas.study.storages.chunks import joined, pieces
from optuna_nas.study.storages.journal import FileJournal
from optuna_nas.study.storages.opening import connect, failed_storage, masked
from optuna_nas.study.storages.redis_journal import RedisJournal


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
    monkeypatch.setattr("optuna_nas.study.storages.sqlite._file_system", lambda path: "nfs4")
    assert journal_mode(connect(f"sqlite:///{tmp_path}/remote.db")) == "delete"
    assert "network file system (nfs4)" in caplog.text


def test_the_tables_of_a_later_optuna_are_refused_with_the_remedy(tmp_path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    storage = optuna.storages.RDBStorage(url)
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    with pytest.raises(StudyError, match=r"updating optuna"):
        connect(url)


def test_records_of_a_later_version_are_refused() -> None:
    study = optuna.create_study(study_name="s")
    mark(study, {"seed": 0})
    check_schema(study)
    study.set_user_attr("optuna_nas", {"version": "9.1", "schema": 9})
    with pytest.raises(StudyError, match=r"up to schema 1, got schema 9.*optuna-nas>=9\.1"):
        check_schema(study)
    with pytest.raises(StudyError, match=r"schema 9"):
        load("s", study._storage)


def test_what_cannot_be_written_is_one_readable_error(tmp_path) -> None:
    path = tmp_path / "s.db"
    connect(f"sqlite:///{path}")
    with pytest.raises(StudyError, match=r"cannot use .*readonly.*may be read and written"):
        little("s").study(f"sqlite:///file:{path}?mode=ro&uri=true")


@pytest.mark.parametrize(
    "url",
    ["redis://:secret@127.0.0.1:1", "mysql+pymysql://u:secret@127.0.0.1:1/d", "no/folder/s.log"],
)
def test_what_does_not_answer_is_one_readable_error(url: str) -> None:
    with pytest.raises(StudyError, match=r"cannot use the storage|not installed") as caught:
        connect(url)
    assert "secret" not in str(caught.value)


def test_a_driver_that_is_missing_is_named_with_its_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(StudyError, match=r'pip install "optuna-nas\[redis\]"'):
        connect("redis://127.0.0.1:6379")


def test_a_journal_whose_last_line_was_cut_goes_on(tmp_path) -> None:
    path = tmp_path / "s.journal"
    optuna.create_study(study_name="s", storage=connect(str(path)))
    with path.open("ab") as file:
        file.write(b'{"op_code": 0, "worker')
    connect(str(path)).set_study_user_attr(0, "a", 1)
    connect(str(path)).set_study_user_attr(0, "b", 2)
    assert connect(str(path)).get_study_user_attrs(0) == {"a": 1, "b": 2}


def test_a_disk_that_is_full_for_a_moment_ends_no_trial(tmp_path, monkeypatch) -> None:
    fsync, full = os.fsync, iter([OSError(errno.ENOSPC, "No space left on device")])

    def once_full(descriptor: int) -> None:
        if error := next(full, None):
            raise error
        fsync(descriptor)

    def fill(trial: int | None, epoch: int, values: object) -> None:
        monkeypatch.setattr(os, "fsync", once_full)

    study = little("s").run(trials=2, storage=str(tmp_path / "s.journal"), on_epoch=fill)
    assert next(full, None) is None
    assert [trial.state for trial in study.trials] == [optuna.trial.TrialState.COMPLETE] * 2
    assert not any("continues" in trial.user_attrs for trial in study.trials)


def test_a_journal_that_is_gone_is_an_error_of_the_storage(tmp_path) -> None:
    journal = FileJournal(str(tmp_path / "s.journal"))
    (tmp_path / "s.journal").unlink()
    with pytest.raises(StorageInternalError, match="No such file"):
        list(journal.read_logs(0))
    with pytest.raises(StorageInternalError, match="No such file"):
        journal.append_logs([{}])


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_redis_that_does_not_answer_is_an_error_of_the_storage(absent) -> None:
    if find_spec("redis") is None:
        absent('no Redis: pip install "optuna-nas[redis]"')
    journal = RedisJournal("redis://127.0.0.1:1")
    journal.patience.seconds = 0.0
    with pytest.raises(StorageInternalError, match="cannot use the journal"):
        list(journal.read_logs(0))
    with pytest.raises(StorageInternalError, match="cannot use the journal"):
        journal.append_logs([{}])


@pytest.mark.parametrize("value", ["", "x" * 64_000, 'ü"' * 50_000, {"a": ["\\" * 90_000]}])
def test_pieces_of_an_attribute_fit_and_are_joined(value) -> None:
    stored = {"before": 1, **dict(pieces("key", value))}
    assert all(len(json.dumps(piece)) < 65_536 for piece in stored.values())
    assert joined(stored) == {"before": 1, "key": value}


def test_a_storage_that_fails_later_is_one_readable_error() -> None:
    error = StorageInternalError("An exception is raised during the commit")
    error.__cause__ = RuntimeError("no route to redis://:secret@host")
    assert "no route" in str(failed_storage(error)) and "secret" not in str(failed_storage(error))
    assert failed_storage(ValueError("a mistake of ours")) is None
