"""`optuna-nas list` and `optuna-nas sample` as a user meets them."""

import json
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import optuna_nas as nas
from optuna_nas.blocks import BLOCKS
from optuna_nas.cli import main
from optuna_nas.datasets import DATASETS
from optuna_nas.objectives.registry import NAMES
from optuna_nas.spaces import SPACES

MODULES = """
import numpy as np
import torch
import optuna_nas as nas


def space(trial):
    return torch.nn.Linear(6, 2, bias=trial.suggest_categorical("bias", (False, True)))


x = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")
search = nas.Search(
    name="modules",
    space=space,
    data=nas.datasets.ArrayDataModule(x, (x[:, 0] > 0).astype("int64"), batch_size=32),
    objectives=["accuracy", "flops"],
)
"""


def call(*args: object) -> click.testing.Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_list_prints_every_registered_name() -> None:
    listed = json.loads(call("list", "--json").stdout)
    registries = {"spaces": SPACES, "blocks": BLOCKS, "objectives": NAMES, "datasets": DATASETS}
    for kind, registry in registries.items():
        assert listed[kind] == sorted(registry)
    for name in listed["samplers"]:
        assert nas.samplers.by_name(name, seed=0)
    for name in listed["pruners"]:
        assert nas.pruners.by_name(name, 1, 3)
    assert {"nsga2", "predictor", "tpe", "random"} <= set(listed["samplers"])
    assert {"hyperband", "none"} <= set(listed["pruners"])


def test_list_says_of_everything_what_it_is() -> None:
    printed = call("list").stdout
    for names in json.loads(call("list", "--json").stdout).values():
        for name in names:
            assert re.search(rf"^ +{re.escape(name)} +\W?\w+\W+\w+", printed, re.MULTILINE), name


@pytest.mark.parametrize("name", sorted(SPACES))
def test_every_space_is_sampled(name: str) -> None:
    shape = () if hasattr(SPACES[name](), "input_shape") else ("--input", "8")
    result = call("sample", name, "--count", 3, "--seed", 1, *shape, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert len(found) == 3
    for row in found:
        assert nas.Architecture.from_json(row["architecture"]).digest == row["digest"]
        assert row["parameters"] > 0
        assert row["flops"] > 0


def test_the_seed_decides() -> None:
    same = [call("sample", "cnn", "--seed", 5, "--json").stdout for _ in range(2)]
    assert same[0] == same[1] != call("sample", "cnn", "--seed", 6, "--json").stdout
    assert json.loads(same[0])[0]["digest"][:12] in call("sample", "cnn", "--seed", 5).stdout


def test_a_study_whose_space_returns_modules_is_sampled(tmp_path: Path) -> None:
    file = tmp_path / "modules.py"
    file.write_text(MODULES)
    result = call("sample", file, "--count", 8, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {row["parameters"] for row in found} == {12, 14}
    assert len({row["digest"] for row in found}) == 2
    assert {row["architecture"] for row in found} == {None}


def test_wrong_use_is_told() -> None:
    unknown = call("sample", "mobilnet")
    assert unknown.exit_code == 2
    assert "did you mean 'mobilenet'" in unknown.stderr
    shapeless = call("sample", "mlp")
    assert shapeless.exit_code == 2
    assert "--input" in shapeless.stderr
    assert call("sample", "cnn", "--input", "3,x").exit_code == 2


def test_networks_are_drawn(tmp_path: Path) -> None:
    result = call("sample", "cnn", "--count", 2, "--diagrams", tmp_path / "pictures", "--json")
    assert result.exit_code == 0, result.output
    digests = [row["digest"][:12] for row in json.loads(result.stdout)]
    drawn = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert drawn == [f"{number}-{digest}.svg" for number, digest in enumerate(digests)]
