"""The benchmark of searches by gradients runs, and counts what it says."""

import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from optuna_nas.bench import differentiable
from optuna_nas.cli import main


def test_it_ranks_what_was_found_among_the_sample() -> None:
    result = differentiable.run(**differentiable.SMOKE)
    assert result["networks"] == 4
    assert result["best"] >= result["top_decile"] >= result["median"]
    assert list(result["ways"]) == ["plain", "perturbation"]
    for (row,) in result["ways"].values():
        assert row["share_of_epochs"] == pytest.approx((2 + 1) / 4)
        assert (row["accuracy"] > result["best"]) <= (row["better"] == 0)
        assert row["skips"] <= row["parameter_free"]
    assert result["deep"]["plain"][0]["accuracy"] is None
    console = Console(record=True, width=120)
    console.print(differentiable.table(result))
    shown = console.export_text()
    assert "4 random networks, 1 epochs each" in shown
    assert f"two trainings {result['agreement']['all']:.2f}" in " ".join(shown.split())


def test_every_way_can_be_described() -> None:
    for options in differentiable.WAYS.values():
        differentiable.DARTS(space=differentiable.SPACE, **options)


def test_the_command_prints_json(monkeypatch) -> None:
    monkeypatch.setattr(differentiable, "run", lambda **options: {"given": sorted(options)})
    shown = CliRunner().invoke(main, ["bench", "differentiable", "--smoke", "--json"])
    assert json.loads(shown.stdout) == {"given": sorted(differentiable.SMOKE)}
