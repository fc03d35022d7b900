"""The command line as a user meets it: exit codes, JSON, help, resume, Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import optuna
import pytest
from click.testing import CliRunner

from optuna_nas.cli import main

STUDY = """
import numpy as np
import optuna_nas as nas

x = np.random.default_rng(0).normal(size=(120, 6)).astype("float32")
search = nas.Search(
    name="tiny",
    space=nas.spaces.MLP(layers=(1, 2), widths=(4, 8, 16)),
    data=nas.datasets.ArrayDataModule(x, (x[:, 0] > 0).astype("int64"), batch_size=32),
    objectives=["accuracy", "flops"],
    fidelity=nas.Budget(epochs=(1, 3)),
    trials=5,
)
"""

START = (sys.executable, "-P", "-c", "from optuna_nas.cli import main; main()")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delitem(sys.modules, "tiny", raising=False)  # a command is a process of its own
    path = tmp_path / "tiny.py"
    path.write_text(STUDY)
    return path


def call(*args: object) -> click.testing.Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_run_finds_shows_and_resumes(file: Path) -> None:
    first = call("run", file)
    assert first.exit_code == 0, first.output
    assert "accuracy" in first.stdout and "flops" in first.stdout
    assert file.with_name("tiny.db").exists()
    assert "<html" in file.with_name("tiny.html").read_text()
    assert call("run", file, "--trials", "2").exit_code == 0
    study = optuna.load_study(study_name="tiny", storage=f"sqlite:///{file.with_name('tiny.db')}")
    assert len(study.trials) == 7


def test_trials_0_only_prints(file: Path) -> None:
    call("run", file)
    before = file.with_name("tiny.html").stat().st_mtime_ns
    printed = call("run", file, "--trials", "0")
    assert printed.exit_code == 0 and "accuracy" in printed.stdout
    study = optuna.load_study(study_name="tiny", storage=f"sqlite:///{file.with_name('tiny.db')}")
    assert len(study.trials) == 5
    assert file.with_name("tiny.html").stat().st_mtime_ns == before


def test_json_is_all_there_is_on_standard_output(file: Path) -> None:
    found = json.loads(call("run", file, "--json").stdout)
    shown = json.loads(call("front", file, "--json").stdout)
    assert found == shown
    for network in shown:
        assert {"number", "digest", "architecture", "values", "units", "spread"} <= set(network)
        assert set(network["values"]) == {"accuracy", "flops"}
        assert network["units"]["flops"] == "FLOP"


def test_smoke_has_its_own_study_and_files(file: Path) -> None:
    assert call("run", file, "--smoke").exit_code == 0
    assert {p.name for p in file.parent.glob("*.db")} == {"tiny-smoke.db"}
    assert {p.name for p in file.parent.glob("*.html")} == {"tiny-smoke.html"}
    assert call("front", file, "--smoke").exit_code == 0
    assert call("status", file, "--smoke").exit_code == 0
    only = ("finalists", file, "--smoke", "--choose-only", "--top", "1")
    chosen = json.loads(call(*only, "--json").stdout)
    assert len(chosen) == 1
    assert chosen[0]["digest"] in call("front", file, "--smoke", "--json").stdout
    assert "accuracy" in call(*only).stdout
    output = file.with_name("other.html")
    assert call("report", file, "--smoke", "--output", output).exit_code == 0
    assert output.exists()


def test_status_counts_what_is_there(file: Path) -> None:
    call("run", file)
    status = json.loads(call("status", file, "--json").stdout)
    assert status["trials"] == 5
    assert status["epochs"] > 0
    assert status["front"] >= 1


def test_status_tells_the_pace_of_a_run_to_any_terminal(file: Path) -> None:
    call("run", file, "--quiet")
    status = json.loads(call("status", file, "--json").stdout)
    assert status["workers"] == 0  # nothing runs now
    assert status["trials_a_minute"] > 0 and status["seconds_since_last"] >= 0
    assert "trials_a_minute" in call("status", file).stdout


def test_quiet_shows_the_front_alone(file: Path) -> None:
    result = call("run", file, "--quiet", "--json")
    assert result.exit_code == 0 and result.stderr == ""
    assert json.loads(result.stdout)


@pytest.mark.parametrize("module", ["optuna_nas", "optuna_nas.cli"])
def test_it_is_a_module_too(module: str) -> None:
    command = [sys.executable, "-m", module, "--version"]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    assert said.startswith("optuna-nas, version")


def test_timeout_and_storage_and_seed(file: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere.db"
    assert call("run", file, "--storage", url, "--timeout", "0.001", "--seed", "7").exit_code == 0
    assert optuna.load_study(study_name="tiny", storage=url).user_attrs["search"]["seed"] == 7
    changed = call("run", file, "--storage", url, "--seed", "8")
    assert changed.exit_code == 2
    assert "seed: 7 -> 8" in changed.stderr


def test_a_report_needs_no_study_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/other.db"
    study = optuna.create_study(study_name="plain", storage=url)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    output = tmp_path / "plain.html"
    stored = ("--storage", url, "--study", "plain")
    assert call("report", *stored, "--output", output).exit_code == 0
    assert "objective 0" in output.read_text()
    for given, said in ((stored[:2], "both --storage URL and --study NAME"), ((), "STUDY.py")):
        result = call("report", *given)
        assert result.exit_code == 2 and said in result.stderr
    missing = call("report", "--storage", url, "--study", "other")
    assert missing.exit_code == 2 and "got plain" in missing.stderr


@pytest.mark.parametrize("command", ["front", "status", "report", "dashboard"])
def test_looking_at_a_study_that_was_never_run_is_one_line(file: Path, command: str) -> None:
    result = call(command, file)
    assert result.exit_code == 2
    assert "run it first" in result.stderr
    assert list(file.parent.glob("*.db")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist"),
        ("x = 1", "expected .* to define `search"),
        ("import nonsense_module", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        (STUDY.replace('"accuracy"', '"acuracy"'), "did you mean 'accuracy'"),
        (STUDY.replace("widths=(4, 8, 16)", "widths=()"), "widths"),
    ],
)
def test_a_wrong_study_file_is_one_readable_error(file: Path, text, message) -> None:
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    result = call("run", file)
    assert result.exit_code == 2
    assert re.search(message, result.stderr), result.stderr
    assert "Traceback" not in result.output


def test_a_wrong_storage_is_one_readable_error(file: Path) -> None:
    result = call("run", file, "--storage", "nonsense://x")
    assert result.exit_code == 2
    assert "nonsense://x" in result.stderr


def test_a_search_that_only_fails_exits_with_1(file: Path) -> None:
    file.write_text(STUDY.replace('objectives=["accuracy"', "max_failures=1, objectives=[BAD"))
    text = file.read_text().replace(
        "search =", 'BAD = nas.objectives.Accuracy(monitor="nothing")\nsearch ='
    )
    file.write_text(text)
    result = call("run", file)
    assert result.exit_code == 1
    assert "'nothing'" in result.stderr and "val_accuracy" in result.stderr


def test_a_study_file_can_import_what_lies_beside_it(file: Path) -> None:
    file.with_name("beside_tiny.py").write_text("EPOCHS = (1, 2)")
    text = STUDY.replace("import numpy", "from beside_tiny import EPOCHS\nimport numpy")
    file.write_text(text.replace("epochs=(1, 3)", "epochs=EPOCHS"))
    assert call("run", file, "--trials", "1").exit_code == 0
    assert (
        call(
            "front", file, "--storage", f"sqlite:///{file.with_name('tiny.db')}?timeout=9"
        ).exit_code
        == 0
    )


def commands() -> list[list[str]]:
    def walk(command: click.Command, path: list[str]):
        yield path
        if isinstance(command, click.Group):
            for name, inner in command.commands.items():
                yield from walk(inner, [*path, name])

    return list(walk(main, []))


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(path: list[str]) -> None:
    result = call(*path, "--help")
    assert result.exit_code == 0
    if path != ["bench"]:
        assert f"optuna-nas {' '.join(path)}".strip() in result.stdout.split("Options")[0]
    assert len(result.stdout.splitlines()) > 4


@pytest.mark.parametrize("workers", [(), ("--workers", "1")], ids=["here", "workers"])
def test_interrupt_ends_cleanly_and_the_next_run_goes_on(file: Path, workers) -> None:
    """A real process and a real signal: table printed, code 130, trial taken up again."""
    command = [*START, "run", str(file)]
    process = subprocess.Popen(
        [*command, "--trials", "1000", *workers],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    url = f"sqlite:///{file.with_name('tiny.db')}"
    _wait_for(lambda: _finished(url) >= 3, process)
    os.kill(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=280)
    assert process.returncode == 130, stderr
    assert "accuracy" in stdout
    # Python reports, and drops, an exception that a signal raises in a finaliser.
    assert "Traceback" not in re.sub(
        r"Exception ignored.*?KeyboardInterrupt", "", stderr, flags=re.DOTALL
    )
    study = optuna.load_study(study_name="tiny", storage=url)
    assert not [t for t in study.trials if t.state == optuna.trial.TrialState.RUNNING]
    count = len(study.trials)
    assert call("run", file, "--trials", "2").exit_code == 0
    assert len(optuna.load_study(study_name="tiny", storage=url).trials) >= count + 2 - 1


HOLDING = """
import os, time
from pathlib import Path
from lightning.pytorch.callbacks import Callback

class Hold(Callback):
    begun = 0

    def on_train_epoch_end(self, trainer, module):
        Hold.begun += trainer.current_epoch == 0
        if os.environ.get("HOLD") and Hold.begun == 3:
            Path(os.environ["HOLD"]).touch()
            time.sleep(1000)

"""


def test_a_killed_process_loses_no_trial(file: Path) -> None:
    """It is killed in the middle of its third training, which waits for that."""
    text = STUDY.replace("trials=5,", 'trials=5, trainer={"callbacks": [Hold()]},')
    file.write_text(HOLDING + text)
    held = file.with_name("held")
    process = subprocess.Popen(
        [*START, "run", str(file), "--trials", "1000"],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"HOLD": str(held)},
    )
    url = f"sqlite:///{file.with_name('tiny.db')}"
    _wait_for(held.exists, process)
    process.kill()
    process.wait()
    (lost,) = _running(url)
    resumed = call("run", file, "--trials", "1")
    assert resumed.exit_code == 0, resumed.output
    trials = optuna.load_study(study_name="tiny", storage=url).trials
    assert trials[lost].user_attrs["outcome"] == "lost"
    assert trials[-1].user_attrs["continues"] == lost
    assert trials[lost].params.items() <= trials[-1].params.items()


def test_two_workers_share_a_study(file: Path) -> None:
    """The same command twice at once: no trial is lost and no two draw the same number."""
    command = [*START, "run", str(file)]
    call("run", file, "--trials", "1")
    workers = [
        subprocess.Popen(
            [*command, "--trials", "4"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=280)
        assert worker.returncode == 0, errors
    url = f"sqlite:///{file.with_name('tiny.db')}"
    study = optuna.load_study(study_name="tiny", storage=url)
    assert [t.number for t in study.trials] == list(range(9))
    failed = [t for t in study.trials if t.state == optuna.trial.TrialState.FAIL]
    assert not [(t.user_attrs, t.system_attrs) for t in failed]


def _finished(url: str) -> int:
    return sum(t.state.is_finished() for t in _trials(url))


def _running(url: str) -> list[int]:
    return [t.number for t in _trials(url) if t.state == optuna.trial.TrialState.RUNNING]


def _trials(url: str) -> list[optuna.trial.FrozenTrial]:
    try:
        return optuna.load_study(study_name="tiny", storage=url).trials
    except Exception:  # not there yet, or just being made
        return []


def _wait_for(condition, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 280
    while not condition():
        assert process.poll() is None, process.communicate()
        if time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"not in time: {process.communicate()}")
        time.sleep(0.2)


def test_files_beside_a_study_are_not_taken_for_what_pytorch_looks_for(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch looks for a module `cuda`, which is there where NVIDIA's is installed."""
    text = file.read_text().replace("trials=5", "trials=trials")
    file.write_text(f"from mine import trials\n{text}")
    file.with_name("mine.py").write_text("trials = 1\n")
    file.with_name("cuda.py").write_text("raise RuntimeError('taken for another')\n")
    monkeypatch.chdir(file.parent)
    ran = [*START, "run", file.name, "--workers", "1", "--quiet"]
    assert subprocess.run(ran, timeout=300).returncode == 0
    url = f"sqlite:///{file.with_name('tiny.db')}"
    assert _finished(url) == 1


@pytest.mark.parametrize("name", ["a/b", "../up", "50%20 ?", "中 [red]文"])
def test_a_study_of_any_name_has_its_files_beside_its_own(file: Path, name: str) -> None:
    file.write_text(STUDY.replace('"tiny"', repr(name)).replace("trials=5", "trials=1"))
    before = set(file.parents[1].iterdir())
    ran = call("run", file, "--quiet")
    assert ran.exit_code == 0, ran.output
    assert len(json.loads(call("front", file, "--json").stdout)) == 1
    assert call("report", file).exit_code == 0
    assert {".py", ".db", ".html"} <= {path.suffix for path in file.parent.iterdir()}
    assert set(file.parents[1].iterdir()) == before
