"""The replay of searches on a table, on a small table of this file's own."""

import json

import numpy as np
import optuna
import pytest
import tables
from click.testing import CliRunner

from optuna_nas.bench import search
from optuna_nas.bench.ledger import LOOK, Ledger
from optuna_nas.bench.replay import _train, replay
from optuna_nas.bench.tables import load
from optuna_nas.cli import main
from optuna_nas.exceptions import DescriptionError
from optuna_nas.pruners import FreezeThaw
from optuna_nas.pruners.freeze_thaw import THROUGH


@pytest.fixture
def arrays():
    return tables.nasbench201()


@pytest.fixture
def path(tmp_path, arrays):
    np.savez(tmp_path / "table.npz", **arrays)
    return tmp_path / "table.npz"


def cost(paid):
    return sum(epochs for _, epochs in paid) / 200


def test_every_method_is_replayed_and_pays_for_what_it_trains(path):
    methods = ["predictor", "nsga2", "optuna-nsga2", "optuna-tpe", "view-tpe", "random"]
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
            assert {epochs for _, epochs in paid} <= {LOOK * 200, 12, 200}
            assert name == "cost-only" or 4 <= cost(paid) < 5.1
            full = [row for row, epochs in paid if epochs == 200]
            assert len(set(full)) == len(full)
        before, at_last = result["median"][name]
        assert 0 <= before <= at_last <= 1 or name == "cost-only"
        fractions = []
        for paid in runs:
            spent = np.cumsum([epochs for _, epochs in paid]) / 200
            rows = [r for (r, e), at in zip(paid, spent, strict=True) if e == 200 and at <= 4]
            fractions.append(problem.fraction(rows))
        assert at_last == pytest.approx(np.median(fractions))


def test_shuffled_low_rungs_are_those_of_other_networks(path):
    real = load(path, "slow")
    shuffled = real.with_shuffled_rungs()
    np.testing.assert_array_equal(shuffled.error[:, -1], real.error[:, -1])
    np.testing.assert_array_equal(np.sort(shuffled.error[:, 0]), np.sort(real.error[:, 0]))
    assert abs(np.corrcoef(shuffled.error.T)[0, 1]) < 0.2 < np.corrcoef(real.error.T)[0, 1]


def test_low_rungs_can_be_shuffled(path):
    options = ["--seeds", "1", "--budgets", "2", "--methods", "predictor,predictor-full-only"]
    command = ["bench", "search", "--table", str(path), "--device", "fast", *options]
    told = CliRunner().invoke(main, [*command, "--low-rung", "shuffled", "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["low_rung"] == "shuffled"


def test_a_replay_is_decided_by_its_seed(path):
    problem = load(path, "slow")
    first, second = (replay(problem, "predictor", 3, [3]).paid for _ in range(2))
    assert first == second
    assert replay(problem, "predictor", 4, [3]).paid != first


@pytest.mark.parametrize("method", ["view-tpe", "view-nsga2"])
def test_optunas_samplers_with_a_view_train_few_networks_to_their_end(path, method):
    problem = load(path, "slow")
    rungs = [payment.rung for payment in replay(problem, method, 0, [5]).paid[0]]
    assert 0 < rungs.count(1) < rungs.count(0)


@pytest.mark.parametrize("through", [True, False])
def test_a_network_that_is_not_paused_needs_no_short_training(path, through):
    ledger = Ledger(load(path, "slow"))
    study = optuna.create_study(directions=["minimize"] * 2, pruner=FreezeThaw([12], 200))
    trial = study.ask()
    if through:
        study._storage.set_trial_system_attr(trial._trial_id, THROUGH, True)
    values = _train(trial, ledger, ledger.problem.cell(5))
    assert (values is None) != through
    assert [payment.rung for payment in ledger.paid] == [int(through)]


def test_equal_structures_are_paid_for_once(arrays, tmp_path):
    arrays["iso_rep"] = np.zeros_like(arrays["iso_rep"])
    np.savez(tmp_path / "one.npz", **arrays)
    replayed = replay(load(tmp_path / "one.npz", "slow"), "random", 0, [5])
    assert [payment.steps for payment in replayed.paid[0]] == [200]


def _row(*ops):
    return int(np.ravel_multi_index(ops, [3] * 6))


def test_the_cells_graph_has_what_works_alone(path):
    problem = load(path, "slow")
    cell = problem.cell(_row(2, 0, 0, 1, 2, 2))  # 2-3 reads a node that nothing reaches
    assert cell.describe().count("nor_conv_3x3") == 2
    assert problem.cell(0).describe() == "zero"


def test_bad_options_are_refused(path, tmp_path):
    with pytest.raises(DescriptionError, match="short training"):
        search.run(str(path), "slow", budgets=[0.01])
    with pytest.raises(DescriptionError, match="method"):
        search.run(str(path), "slow", methods=["guess"])
    with pytest.raises(DescriptionError, match="low rung among real, shuffled"):
        search.run(str(path), "slow", low_rung="none")
