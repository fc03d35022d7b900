"""`optuna-nas table build` as a user meets it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from optuna_nas import objectives
from optuna_nas.cli import main
from optuna_nas.exceptions import MeasurementError
from optuna_nas.objectives import Candidate, Latency, Measurement
from optuna_nas.predictors import LatencyTable
from optuna_nas.spaces import SPACES

STUDY = """
import numpy as np
import optuna_nas as nas

x = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")
search = nas.Search(
    name="tiny",
    space=nas.spaces.MLP(layers=(1, 2), widths=(4, 8), norms=("none",), dropouts=(0.0,)),
    data=nas.datasets.ArrayDataModule(x, (x[:, 0] > 0).astype("int64"), batch_size=32),
    objectives=["accuracy", nas.objectives.Latency(batch=4)],
)
"""


@dataclass(frozen=True, kw_only=True)
class Counted(Latency):
    """1 us a weight."""

    def calibrate(self) -> dict[str, Any]:
        return {"reference_ms": 1.0}

    def __call__(self, candidate: Candidate) -> Measurement:
        return Measurement(1e-3 * sum(p.numel() + 1 for p in candidate.network.parameters()) + 1)


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(objectives, "Latency", Counted)
    monkeypatch.chdir(tmp_path)


def build(*args: str) -> click.testing.Result:
    return CliRunner().invoke(
        main, ["table", "build", *args, "--networks", "5", "--samples", "10"]
    )


def test_it_builds_the_table_of_a_space_and_goes_on() -> None:
    begun = build("cnn", "--input", "1,8,8", "--blocks", "3", "--json")
    assert begun.exit_code == 0, begun.output
    summary = json.loads(begun.stdout)
    assert summary["table"] == "cnn-latency.json"
    assert (summary["blocks"], summary["networks"], summary["timed_now"]) == (3, 5, 8)
    assert 0 < summary["covered"] < 1
    assert "factor" not in summary
    whole = json.loads(build("cnn", "--input", "1,8,8", "--json").stdout)
    assert whole["covered"] == 1
    assert whole["timed_now"] == whole["blocks"] - 3
    assert {"factor", "us_per_operator", "ns_per_weight", "error"} <= set(whole)
    assert LatencyTable.load("cnn-latency.json").input_shape == (1, 8, 8)


def test_a_table_for_people_says_what_it_covers() -> None:
    shown = build("cnn", "--input", "1,8,8", "--outputs", "3", "--output", "here/small.json")
    assert shown.exit_code == 0, shown.output
    assert "100.0%" in shown.stdout and "x sum +" in shown.stdout
    assert LatencyTable.load("here/small.json").outputs == 3


def test_a_study_says_what_the_options_leave_open(tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text(STUDY)
    assert build("tiny.py", "--threads", "2").exit_code == 0
    table = LatencyTable.load("tiny-latency.json")
    assert (table.input_shape, table.outputs) == ((6,), 2)
    assert (table.latency.batch, table.latency.threads) == (4, 2)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("resnet",), f"a STUDY.py or a space among {', '.join(sorted(SPACES))}, got 'resnet'"),
        (("absent.py",), "absent.py does not exist"),
        (("mlp",), "the space mlp takes any input; say its shape with --input"),
        (("cnn", "--input", "3,x"), "expected whole numbers such as 3,32,32"),
        (("cnn", "--backend", "fast"), "expected a backend among"),
        (("cnn", "--precision", "fp99"), "expected a precision among"),
        (("cnn", "--device", "cuda:99"), "latency cannot be measured here: "),
    ],
)
def test_wrong_use_is_one_line(args: tuple[str, ...], message: str) -> None:
    result = build(*args)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_refusals_are_shown_with_their_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    measure, calls = Counted.__call__, iter(range(1000))

    def refusing(self: Counted, candidate: Candidate) -> Measurement:
        if next(calls) % 5 == 0:
            raise MeasurementError("refused [to] record")
        return measure(self, candidate)

    monkeypatch.setattr(Counted, "__call__", refusing)
    shown = build("cnn", "--input", "1,8,8")
    assert shown.exit_code == 0, shown.output
    assert " ".join(shown.stdout.split()).count("refused [to] record") == 3
    told = json.loads(build("cnn", "--input", "1,8,8", "--json").stdout)["refused_now"]
    assert told and all("refused [to] record" in line for line in told)


def test_a_study_with_two_latencies_is_asked_which(tmp_path: Path) -> None:
    second = 'nas.objectives.Latency(name="slow", batch=8)'
    (tmp_path / "two.py").write_text(STUDY.replace("batch=4)", f"batch=4), {second}"))
    refused = build("two.py")
    assert refused.exit_code == 2
    assert "two.py measures latency, slow in different ways" in refused.stderr
    assert build("two.py", "--batch", "8").exit_code == 0
    assert LatencyTable.load("two-latency.json").latency.batch == 8


def test_a_file_that_cannot_be_written_is_one_line() -> None:
    Path("file").write_text("")
    refused = build("cnn", "--input", "1,8,8", "--output", "file/table.json")
    assert refused.exit_code == 1
    assert "expected to write the latency table to file/table.json" in refused.stderr


def test_other_settings_are_refused() -> None:
    build("cnn", "--input", "1,8,8", "--blocks", "1")
    changed = build("cnn", "--input", "1,8,8", "--batch", "2")
    assert changed.exit_code == 1
    assert "batch: 1 -> 2" in changed.stderr


def test_help_helps() -> None:
    shown = CliRunner().invoke(main, ["table", "build", "--help"]).output
    assert "optuna-nas table build cnn --input 3,32,32 --output cnn.json" in shown
    timed = ("--threads", "--backend", "--batch", "--precision", "--device", "--blocks")
    for option in ("--output", "--input", *timed):
        assert option in shown
