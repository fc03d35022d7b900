"""The studies of Transformers, as the command runs them."""

from __future__ import annotations

import shutil
from pathlib import Path

import optuna
import pytest
from click.testing import CliRunner

from optuna_nas.cli import main

STUDIES = Path(__file__).parents[2] / "studies"

pytestmark = [
    pytest.mark.usefixtures("unrefused"),
    pytest.mark.filterwarnings(
        "ignore:.*does not have many workers.*",
        "ignore:.*smaller than the logging interval.*",
        "ignore:.*Checkpoint directory.*exists and is not empty.*",
    ),
]


@pytest.mark.parametrize("name", ["series_transformer", "shakespeare_transformer"])
def test_its_smoke_form_completes_every_trial(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if name.startswith("shakespeare"):
        folder = request.getfixturevalue("data_folder")
        monkeypatch.setenv("OPTUNA_NAS_DATA", str(folder))
    file = tmp_path / f"{name}.py"
    shutil.copy(STUDIES / file.name, file)
    result = CliRunner().invoke(main, ["run", str(file), "--smoke"])
    assert result.exit_code == 0, result.output
    storage = f"sqlite:///{tmp_path / name}-smoke.db"
    (study,) = [
        optuna.load_study(study_name=found, storage=storage)
        for found in optuna.get_all_study_names(storage)
    ]
    assert [trial.state for trial in study.trials] == [optuna.trial.TrialState.COMPLETE] * 4


def test_text_that_is_absent_is_an_error_that_says_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTUNA_NAS_DATA", str(tmp_path))
    file = STUDIES / "shakespeare_transformer.py"
    result = CliRunner().invoke(main, ["run", str(file), "--smoke"])
    assert result.exit_code == 2
    assert "tinyshakespeare" in result.output and "char-rnn" in result.output
