"""The benchmark of what a trial costs beside its training: it runs, and what it counts holds."""

import json
import os
import random
from functools import partial

import optuna
import pytest
from click.testing import CliRunner
from optuna.trial import TrialState
from rich.console import Console

from optuna_nas.bench import overhead
from optuna_nas.bench.filled import filled, finished_trial, opened
from optuna_nas.cli import main

SERVERS = "OPTUNA_NAS_POSTGRESQL", "OPTUNA_NAS_REDIS"


@pytest.fixture
def here(monkeypatch) -> None:
    """Threads instead of processes, which take seconds to start."""
    threads = partial(overhead._pool, "memory")
    monkeypatch.setattr(overhead, "_pool", lambda storage, workers: threads(workers))


@pytest.mark.parametrize("storage", ["memory", "sqlite", "journal"])
def test_each_row_compares_ours_with_optunas(here: None, storage: str) -> None:
    result = overhead.run([5], [1, 2], [storage], ["nsga2"], seconds=0.01)
    assert json.loads(json.dumps(result)) == result
    assert [row["workers"] for row in result["rows"]] == [1, 2]
    assert all(row[whose]["errors"] == 0 for row in result["rows"] for whose in ("ours", "optuna"))
    assert all(row["ratio"] > 0 for row in result["rows"])
    console = Console(record=True, width=140)
    console.print(overhead.table(result))
    assert storage in console.export_text()


def test_each_measurement_begins_with_the_same_number_of_trials(tmp_path) -> None:
    url = f"sqlite:///{tmp_path}/own.db"
    servers = [os.environ[name] for name in SERVERS if os.environ.get(name)]
    for storage in ("memory", f"{tmp_path}/own.journal", url, *servers):
        with filled(storage, 3) as places:
            for ours in (True, False):
                with places(ours) as place:
                    known = opened(place, ours)
                    study = optuna.load_study(study_name=place[1], storage=known)
                    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
                    study.add_trial(finished_trial(random.Random(3)))
                    if engine := getattr(getattr(known, "_backend", None), "engine", None):
                        engine.dispose()
    assert not list(tmp_path.iterdir())


def test_a_trial_takes_as_many_round_trips_whatever_was_before(here: None) -> None:
    few, many = (
        overhead.run([finished], [1], ["sqlite"], ["nsga2"], seconds=0.01)["rows"][0]
        for finished in (30, 90)
    )
    assert abs(few["ours"]["round_trips"] - many["ours"]["round_trips"]) < 3
    assert many["ours"]["round_trips"] < many["optuna"]["round_trips"] / 2


def test_the_command_refuses_what_it_does_not_know() -> None:
    wrong = CliRunner().invoke(main, ["bench", "overhead", "--samplers", "magic"])
    assert wrong.exit_code == 2
    assert "optuna-tpe" in wrong.output
    wrong = CliRunner().invoke(main, ["bench", "overhead", "--trials", "many"])
    assert "expected whole numbers" in wrong.output
