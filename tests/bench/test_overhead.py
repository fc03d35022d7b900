"""The benchmark of what a trial costs beside its training: it runs, and what it counts holds."""

import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from optuna_nas.bench import overhead
from optuna_nas.cli import main


@pytest.fixture
def here(monkeypatch) -> None:
    """Threads instead of processes, which take seconds to start."""
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(overhead, "processes", ThreadPoolExecutor)


@pytest.mark.parametrize("storage", ["memory", "sqlite", "journal"])
def test_each_row_compares_ours_with_optunas(here: None, storage: str) -> None:
    result = overhead.run([5], [1, 2], [storage], ["random", "nsga2"], seconds=0.01)
    assert json.loads(json.dumps(result)) == result
    assert [(r["workers"], r["sampler"]) for r in result["rows"]] == [
        (1, "random"),
        (1, "nsga2"),
        (2, "random"),
        (2, "nsga2"),
    ]
    assert all(row["ratio"] > 0 for row in result["rows"])
    console = Console(record=True, width=140)
    console.print(overhead.table(result))
    assert storage in console.export_text()


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
