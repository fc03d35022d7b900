"""The mistakes of a new user: each ends in one readable line and exit code 2."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from test_cli import STUDY

from optuna_nas.cli import main

RUN = ("run", "tiny.py")
SPACE = "nas.spaces.MLP(layers=(1, 2), widths=(4, 8, 16))"
DATA = 'nas.datasets.ArrayDataModule(x, (x[:, 0] > 0).astype("int64"), batch_size=32)'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.py").write_text(STUDY)
    Path("half.db").write_bytes(b"SQLite format 3\x00, or so it began")


def call(*args: str) -> Result:
    return CliRunner().invoke(main, list(args))


def with_(old: str, new: str) -> Callable[[], None]:
    """Changes the study file."""
    assert old in STUDY
    return lambda: Path("tiny.py").write_text(STUDY.replace(old, new)) and None


def newer_schema() -> None:
    import sqlite3

    import optuna

    optuna.storages.RDBStorage("sqlite:///newer.db").remove_session()
    with sqlite3.connect("newer.db") as database:
        database.execute("UPDATE version_info SET schema_version = 99")
        database.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    database.close()


def nothing() -> None:
    pass


ACCELERATOR = 'trials=5, trainer={"accelerator": "gpu"}'
FASHION = 'nas.datasets.FashionMNIST("nowhere")'
MISTAKES = {
    "a wrong path": (nothing, ("run", "tini.py"), "does not exist; did you mean tiny.py"),
    "a folder": (nothing, ("run", "."), "is a folder"),
    "missing data": (with_(DATA, FASHION), RUN, "fashion_mnist_train.npz"),
    "no GPU to train on": (with_("trials=5", ACCELERATOR), RUN, "accelerator.*[Gg][Pp][Uu]"),
    "no GPU to measure": (
        with_('"flops"', 'nas.objectives.Latency(device="cuda:99")'),
        RUN,
        "expected the device cuda:99",
    ),
    "an unknown name": (with_('"flops"', '"flop"'), RUN, "did you mean 'flops'"),
    "an unknown argument": (
        with_("trials=5", "trials=5, sampler_='tpe'"),
        RUN,
        "unexpected keyword argument 'sampler_'",
    ),
    "an unknown command": (nothing, ("ran", "tiny.py"), "[Dd]id you mean"),
    "an unknown option": (nothing, (*RUN, "--trails", "3"), "[Dd]id you mean '?--trials"),
    "a wrong value": (nothing, (*RUN, "--trials", "many"), "'many' is not a valid integer"),
    "no study file": (nothing, ("run",), "missing argument 'STUDY.py'"),
    "a half-written study file": (
        lambda: Path("tiny.py").write_text(STUDY[:150]) and None,
        RUN,
        "cannot be loaded: SyntaxError",
    ),
    "a half-written storage": (
        nothing,
        (*RUN, "--storage", "sqlite:///half.db"),
        "the storage sqlite:.*file is not a database",
    ),
    "a storage that nobody serves": (
        nothing,
        (*RUN, "--storage", "postgresql://someone:secret@127.0.0.1:1/none"),
        "127.0.0.1:1/none",
    ),
    "a storage of a newer Optuna": (
        newer_schema,
        (*RUN, "--storage", "sqlite:///newer.db"),
        "newer.db",
    ),
    "a missing extra": (
        nothing,
        ("sample", "cnn", "--input", "1,8,8", "--count", "1", "--diagrams", "pictures"),
        r'pip install "optuna-nas\[diagram\]"',
    ),
    "an output that cannot be written": (
        lambda: Path("file").touch(),
        ("sample", "cnn", "--input", "1,8,8", "--count", "1", "--diagrams", "file/pictures"),
        "file",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(
    mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, args, said = MISTAKES[mistake]
    make()
    if "extra" in mistake:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = call(*args)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert re.search(said, line), line
    assert result.exit_code == 2
    assert "Traceback" not in result.output and "secret" not in result.output
    assert len(line) < 500


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_a_taken_port_is_one_line(taken: int) -> None:
    assert call(*RUN, "--trials", "1", "--quiet").exit_code == 0
    result = call("dashboard", "tiny.py", "--port", str(taken), "--no-browser")
    assert result.exit_code == 2
    assert re.search(f"expected a free port .*{taken}.*--port", result.stderr)
    assert len(result.stderr.splitlines()) == 1


def test_debug_shows_the_traceback() -> None:
    with_('"flops"', '"flop"')()
    with pytest.raises(Exception, match="did you mean 'flops'"):
        CliRunner().invoke(main, ["--debug", *RUN], catch_exceptions=False)


def test_a_run_in_which_every_trial_fails_ends_with_1() -> None:
    with_('["accuracy"', '[nas.objectives.Accuracy(monitor="nothing")')()
    result = call(*RUN, "--trials", "2")
    assert result.exit_code == 1
    assert "'nothing'" in result.stderr
