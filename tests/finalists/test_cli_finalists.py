"""`optuna-nas finalists` and `optuna-nas audit`."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from click.testing import CliRunner, Result

import optuna_nas as nas
from optuna_nas.cli import main
from optuna_nas.finalists import audit

STUDY = """
from functools import partial

import optuna_nas as nas

search = nas.Search(
    name="tiny",
    space=nas.spaces.CNN(input_shape=(1, 8, 8), blocks=(1, 2), channels=(8, 16)),
    data=nas.datasets.Digits(validation=0.25, batch_size=128),
    module=partial(nas.model.Classifier, learning_rate=1e-2, warmup_steps=5),
    objectives=["accuracy", "parameters"],
    fidelity=nas.Budget(epochs=(1, 2)),
    threads=1,
    trials=4,
)
retraining = nas.finalists.Retraining(epochs=2, average=None)
"""

pytestmark = pytest.mark.usefixtures("untimed")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.py"
    path.write_text(STUDY)
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_from_a_front_to_a_table_and_an_audit(file: Path) -> None:
    assert call("run", file).exit_code == 0
    command = ("finalists", file, "--top", "1", "--seeds", "1", "--no-baselines")
    found = json.loads(call(*command, "--json").stdout)
    assert [final["role"] for final in found] == ["front"]
    assert {"name", "digest", "values", "test", "cost", "folder"} <= found[0].keys()
    assert found[0]["cost"]["epochs"] == 2
    assert list(found[0]["values"]["accuracy"]) == ["mean", "deviation", "by_seed"]
    shown = call(*command)
    assert shown.exit_code == 0 and found[0]["name"] in shown.stdout
    assert file.with_name("tiny.finalists.html").exists()
    audit = call("audit", file, "--json")
    assert audit.exit_code == 0, audit.output
    assert json.loads(audit.stdout)["finalists"][0]["digest"] == found[0]["digest"]
    longer = (*command, "--label", "longer", "--epochs", "3")
    again = call(*longer)
    assert again.exit_code == 2 and "--unseal REASON" in again.stderr
    assert call(*longer, "--unseal", "why not").exit_code == 0
    assert call("audit", file).exit_code == 1


def test_an_audit_finds_an_architecture_that_is_not_its_digest() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    small, large = (
        nas.Architecture.chain([("conv", "conv", {"channels": n}), ("end", "classify", {})])
        for n in (8, 16)
    )
    for claimed in (small, large):
        attrs = {"digest": claimed.digest, "architecture": json.loads(small.to_json())}
        study.add_trial(optuna.create_trial(values=[0.5, 1.0], user_attrs=attrs))
    wrong = audit(study)["wrong"]
    assert len(wrong) == 1 and wrong[0].startswith("trial 1 says digest")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--within", "accuracy"), "expected NAME=VALUE"),
        (("--within", "speed=1"), "caps on objectives among accuracy, parameters, got speed"),
        (("--rule", "tallest"), "expected a rule among best, knee, spread, got 'tallest'"),
        (("--top", "40"), "ask for fewer, run more trials"),
        (("--trial", "77"), "expected trials of the front"),
    ],
)
def test_wrong_use_is_one_line(file: Path, options: tuple[str, str], said: str) -> None:
    call("run", file)
    wrong = call("finalists", file, *options)
    assert wrong.exit_code == 2
    assert said in wrong.stderr
    assert "Traceback" not in wrong.output
