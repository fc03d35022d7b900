"""The replay of searches on a table, on a small table of this file's own."""

import itertools
import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from optuna_nas.bench import search
from optuna_nas.bench.replay import LOOK, replay
from optuna_nas.bench.tabular import FULL, LOW, load
from optuna_nas.cli import main
from optuna_nas.exceptions import DataError, DescriptionError

NAMES = ["none", "skip_connect", "nor_conv_3x3"]
EDGES = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]


@pytest.fixture
def arrays():
    ops = np.array(list(itertools.product(range(3), repeat=6)), dtype=np.int8)
    convolutions = (ops == 2).sum(axis=1)
    noise = np.random.default_rng(0).normal(0, 0.5, len(ops))
    accuracy = 92 - 40 * np.exp(-convolutions) + noise
    return {
        "ops": ops,
        "op_names": np.array(NAMES),
        "edges": np.array(EDGES, dtype=np.int8),
        "acc12_valid": accuracy - 10,
        "acc200_valid_seeds": np.stack([accuracy, np.full(len(ops), np.nan)], axis=1),
        "latency_ms": 1.0 + convolutions[:, None] * np.array([1.0, 2.0]),
        "devices": np.array(["slow", "fast"]),
        "iso_rep": np.arange(len(ops)),
        "params_m": 0.1 * convolutions,
    }


@pytest.fixture
def path(tmp_path, arrays):
    np.savez(tmp_path / "table.npz", **arrays)
    return tmp_path / "table.npz"


def cost(paid):
    return sum(epochs for _, epochs in paid) / FULL


def test_every_method_is_replayed_and_pays_for_what_it_trains(path):
    methods = ["predictor", "nsga2", "optuna-nsga2", "optuna-tpe", "random"]
    options = ["--seeds", "2", "--budgets", "2,4", "--methods", ",".join(methods), "--json"]
    command = ["bench", "search", "--table", str(path), "--device", "fast", *options]
    told = CliRunner().invoke(main, command)
    assert told.exit_code == 0, told.output
    result = json.loads(told.stdout)
    assert result["budgets"] == [2, 4]
    assert set(result["median"]) == {*methods, *search.ALWAYS}
    problem = load(path, "fast")
    for name, runs in result["runs"].items():
        assert len(runs) == 2
        for paid in runs:
            assert {epochs for _, epochs in paid} <= {LOOK, LOW, FULL}
            assert name == "cost-only" or 4 <= cost(paid) < 5.1
            full = [row for row, epochs in paid if epochs == FULL]
            assert len(set(full)) == len(full)
        before, at_last = result["median"][name]
        assert 0 <= before <= at_last <= 1 or name == "cost-only"
        fractions = []
        for paid in runs:
            spent = np.cumsum([epochs for _, epochs in paid]) / FULL
            rows = [r for (r, e), at in zip(paid, spent, strict=True) if e == FULL and at <= 4]
            fractions.append(problem.fraction(rows))
        assert at_last == pytest.approx(np.median(fractions))


def test_a_replay_is_decided_by_its_seed(path):
    problem = load(path, "slow")
    first, second = (replay(problem, "predictor", 3, [3]).paid for _ in range(2))
    assert first == second
    assert replay(problem, "predictor", 4, [3]).paid != first


def test_equal_structures_are_paid_for_once(arrays, tmp_path):
    arrays["iso_rep"] = np.zeros_like(arrays["iso_rep"])
    np.savez(tmp_path / "one.npz", **arrays)
    replayed = replay(load(tmp_path / "one.npz", "slow"), "random", 0, [5])
    assert [epochs for _, epochs in replayed.paid] == [FULL]


def test_the_whole_table_is_the_whole_front(path):
    problem = load(path, "slow")
    assert problem.fraction(range(len(problem.full))) == pytest.approx(1)
    assert problem.fraction([]) == 0


def test_the_cells_graph_has_what_works_alone(path):
    problem = load(path, "slow")
    cell = problem._cells[(2, 0, 0, 1, 2, 2)]  # 2-3 reads a node that nothing reaches
    assert cell.describe().count("nor_conv_3x3") == 2
    assert problem._cells[(0, 0, 0, 0, 0, 0)].describe() == "zero"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ops": None}, "ops"),
        ({"edges": np.zeros(6)}, "edges"),
        ({"acc12_valid": np.zeros(3)}, "as many cells"),
        ({"acc200_valid_seeds": np.full((729, 2), math.nan)}, "729 cells"),
    ],
)
def test_a_table_of_a_wrong_form_is_refused(arrays, tmp_path, change, message):
    changed = {k: v for k, v in (arrays | change).items() if v is not None}
    np.savez(tmp_path / "wrong.npz", **changed)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "wrong.npz", "slow")


def test_bad_options_are_refused(path, tmp_path):
    with pytest.raises(DescriptionError, match="short training"):
        search.run(str(path), "slow", budgets=[0.01])
    with pytest.raises(DescriptionError, match="method"):
        search.run(str(path), "slow", methods=["guess"])
    with pytest.raises(DataError, match="device"):
        load(path, "none")
    (tmp_path / "text.npz").write_text("no table")
    with pytest.raises(DataError, match=r"text\.npz"):
        load(tmp_path / "text.npz", "slow")
