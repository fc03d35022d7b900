"""Checkpoints in a bucket: any worker goes on from them, and nothing of them stays behind."""

import os
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import optuna
import pytest
from click.testing import CliRunner
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState
from test_checkpoints import EPOCHS, Stop, described, in_one_go, killed_elsewhere, run
from test_checkpoints import often as often  # fixtures; these are of the search below
from test_checkpoints import plain as plain
from test_checkpoints import stopped as stopped
from test_checkpoints import url as url
from test_cli import STUDY

import optuna_nas as nas
from optuna_nas.cli import main
from optuna_nas.exceptions import DescriptionError, StudyError
from optuna_nas.study import bucket
from optuna_nas.study.bucket import Bucket, place_of, url_of

GONE = "http://127.0.0.1:9"


def keys(client: Any) -> list[str]:
    found = client.list_objects_v2(Bucket="nas-test").get("Contents", ())
    return [one["Key"] for one in found]


def move(endpoint: str) -> None:
    """Have the bucket elsewhere from now on."""
    os.environ["AWS_ENDPOINT_URL"] = endpoint
    bucket._client.cache_clear()


@pytest.fixture
def place(s3, tmp_path) -> Bucket:
    return Bucket(tmp_path / "passing", "nas-test", "a/b")


def put(place: Bucket, name: str, content: bytes) -> None:
    place.path.mkdir(parents=True, exist_ok=True)
    place.part(name).write_bytes(content)
    place.put(name)


@pytest.fixture
def search(s3) -> nas.Search:
    return described(checkpoints="s3://nas-test/some/prefix/")


def test_a_file_passes_through_this_machine_and_stays_in_the_bucket(place, s3) -> None:
    put(place, "x.ckpt", b"first")
    put(place, "x.ckpt", b"second")
    assert keys(s3) == ["a/b/x.ckpt"]
    assert not place.path.exists()
    assert place.fetch("x.ckpt").read_bytes() == b"second"
    place.forget("x.ckpt")
    assert not place.path.exists()
    assert place.fetch("y.ckpt") is None
    place.remove("x.ckpt")
    place.remove("x.ckpt")
    assert keys(s3) == []
    assert not place.path.exists()


def test_a_quota_holds_for_the_checkpoints_of_one_prefix(place, s3, caplog) -> None:
    other = replace(place, prefix="a/bc")
    put(other, "other.ckpt", b"x" * 1000)
    put(place, "weights.pt", b"x" * 1000)
    for name in ("0.ckpt", "1.ckpt", "2.ckpt"):
        put(place, name, b"x" * 100)
    place.evict("0.ckpt", 250)
    kept = {"a/bc/other.ckpt", "a/b/weights.pt"}
    assert set(keys(s3)) == kept | {"a/b/0.ckpt", "a/b/2.ckpt"}
    assert not caplog.text
    place.evict("0.ckpt", 50)
    assert set(keys(s3)) == kept
    assert "s3://nas-test/a/b/0.ckpt alone takes 100 bytes" in caplog.text


def test_what_was_killed_goes_on_from_the_bucket_on_another_host(plain, url, s3, tmp_path) -> None:
    killed_elsewhere(url, checkpoints="s3://nas-test/some/prefix")
    (key,) = keys(s3)
    assert key.startswith("some/prefix/saved.checkpoints/0-")
    assert not list(tmp_path.glob("*.checkpoints"))  # nothing but the bucket knows of it
    lost, again = plain.run(trials=1, storage=url).trials
    assert again.user_attrs["continues"] == lost.number == 0
    assert again.user_attrs["resumed"] == {"epochs": 3}
    assert again.user_attrs["spent"]["epochs"] == EPOCHS - 3
    whole = in_one_go(plain)
    assert again.values == whole.values
    curves = [nas.pruners.curve(trial, 2) for trial in (lost, again, whole)]
    assert curves[0] | curves[1] == curves[2]
    assert keys(s3) == []
    assert not list(tmp_path.glob("*.checkpoints"))
    assert "testing-secret" not in (tmp_path / "s.db").read_bytes().decode("latin-1")


def test_two_workers_take_up_what_each_other_paused(search, url, s3, tmp_path) -> None:
    first = run(search, url)
    assert first.state == TrialState.PRUNED
    assert len(keys(s3)) == 1
    assert not list(tmp_path.glob("*.checkpoints"))
    second = run(replace(search), url, continues=0)
    third = run(replace(search), url, continues=1)
    assert second.user_attrs["resumed"] == {"epochs": 2}
    assert third.values == in_one_go(search).values
    assert keys(s3) == []


def test_what_the_quota_evicted_is_trained_anew(search, url, s3, caplog) -> None:
    search = replace(search, quota=1)
    run(search, url)
    assert "more than the quota of 1" in caplog.text
    assert keys(s3) == []
    again = run(search, url, continues=0)
    assert "no checkpoint" in again.user_attrs["resumed"]["reason"]
    assert "s3://nas-test/some/prefix/saved.checkpoints" in again.user_attrs["resumed"]["reason"]


def test_a_damaged_object_means_training_from_the_start(stopped, url, s3, caplog) -> None:
    (key,) = keys(s3)
    whole = s3.get_object(Bucket="nas-test", Key=key)["Body"].read()
    s3.put_object(Bucket="nas-test", Key=key, Body=whole[:900] + b"x" + whole[901:])
    again = stopped.run(trials=1, storage=url).trials[-1]
    assert "is damaged" in caplog.text
    assert again.user_attrs["resumed"]["epochs"] == 0
    assert again.values == in_one_go(stopped).values
    assert keys(s3) == []


def test_a_bucket_that_goes_away_stops_no_training(
    plain, url, often, s3, monkeypatch, caplog
) -> None:
    there = os.environ["AWS_ENDPOINT_URL"]
    monkeypatch.setattr(Stop, "how", lambda: move(GONE))
    Stop.at = 2
    trial = run(plain, url)
    assert trial.state == TrialState.COMPLETE
    assert trial.values == in_one_go(plain).values
    assert "cannot save s3://nas-test/some/prefix" in caplog.text
    assert "it stays there" in caplog.text
    move(there)
    assert len(keys(s3)) == 1


def test_what_cannot_be_read_now_is_taken_up_later(stopped, url, s3, monkeypatch) -> None:
    there = os.environ["AWS_ENDPOINT_URL"]
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "check", lambda self: move(GONE))  # it goes away right after
        trial = stopped.run(trials=1, storage=url).trials[-1]
    assert trial.user_attrs["outcome"] == "interrupted"
    assert "cannot use s3://nas-test" in trial.user_attrs["ended"]
    move(there)
    again = stopped.run(trials=1, storage=url).trials[-1]
    assert again.user_attrs["resumed"] == {"epochs": 2}
    assert again.values == in_one_go(stopped).values


def test_a_worker_begins_while_the_bucket_is_away(search, url, s3) -> None:
    """As one does in the place of another that died; who began the search has seen to it."""
    begun = search.study(url)
    with mock.patch.dict(os.environ):
        move(GONE)
        with pytest.raises(StudyError, match="cannot use s3://nas-test"):
            search.study(url)
        assert search.study(url, joins=True)._study_id == begun._study_id


def refused() -> None:
    move("http://user:testing-secret@127.0.0.1:9")


def no_such_bucket() -> None:
    client = bucket._client(os.getpid())
    client.delete_bucket(Bucket="nas-test")


def no_credentials() -> None:
    del os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    bucket._client.cache_clear()


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (refused, "EndpointConnectionError: .*127.0.0.1:9"),
        (no_such_bucket, "NoSuchBucket"),
        (no_credentials, "NoCredentialsError"),
        (lambda: move("nonsense"), "Invalid endpoint: nonsense"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_told_before_the_search(
    search, url, s3, mistake, said
) -> None:
    with mock.patch.dict(os.environ), pytest.raises(StudyError, match=said) as raised:
        mistake()
        search.run(trials=1, storage=url)
    assert "cannot use s3://nas-test/some/prefix/saved.checkpoints" in str(raised.value)
    assert "set AWS_ENDPOINT_URL" in str(raised.value)
    assert "testing-secret" not in "".join(traceback.format_exception(raised.value))
    assert optuna.get_all_study_names(url) == []
    s3.create_bucket(Bucket="nas-test")  # there again, or still


def test_the_command_line_says_so_in_one_line(s3, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "trials=5" in STUDY
    Path("tiny.py").write_text(STUDY.replace("trials=5", "trials=5, checkpoints='s3://none-such'"))
    result = CliRunner().invoke(main, ["run", "tiny.py"])
    assert result.exit_code == 2
    (line,) = result.output.strip().splitlines()
    assert line.startswith("error: cannot use s3://none-such/")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["run", "tiny.py"])
    assert result.exit_code == 2
    assert result.output == 'error: boto3 not installed; pip install "optuna-nas[s3]"\n'


@pytest.mark.parametrize(
    "wrong",
    [
        "s3://",
        "s3:/nas-test/x",  # what pathlib makes of it
        "s3://nas-test/../other",
        "s3://nas-test/a/./b",
        "s3://nas-test//a",
        "s3://nas-test/a?versionId=1",
        "s3://key:testing-secret@nas-test/a",
        "s3:/key:testing-secret@nas-test/a",
        "S3://nas-test",
        "gs://nas-test/a",
    ],
)
def test_other_urls_are_refused(wrong: str) -> None:
    with pytest.raises(DescriptionError, match="expected checkpoints as a folder, or as") as told:
        described(checkpoints=wrong)
    assert "testing-secret" not in str(told.value)


def test_folders_are_no_urls() -> None:
    for folder in ("here", "/there", "C:/here", "a:b", Path("x"), True, False, None):
        assert url_of(folder) is None
    assert url_of("s3://nas-test") == url_of("s3://nas-test/") == ("nas-test", "")


@pytest.mark.parametrize("name", ["../../x", "..", "a/b", "/absolute", "x\x00y"])
def test_no_name_of_a_study_leads_out_of_its_prefix(name: str) -> None:
    place = place_of("s3://nas-test/deep", name, InMemoryStorage())
    assert isinstance(place, Bucket)
    first, second = place.prefix.split("/")
    assert first == "deep"
    assert second.endswith(".checkpoints")
    assert place_of("s3://nas-test", "a", InMemoryStorage()).prefix == "a.checkpoints"
