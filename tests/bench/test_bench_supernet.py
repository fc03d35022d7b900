"""The benchmark of supernets runs, goes on after an interruption, and ranks as it says."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import kendalltau, spearmanr

import optuna_nas as nas
from optuna_nas.bench import supernet
from optuna_nas.bench.correlations import correlations, kendall, spearman
from optuna_nas.bench.trainings import FORMS
from optuna_nas.cli import main
from optuna_nas.exceptions import DescriptionError

CONTRACT = {
    "spearman",
    "kendall",
    "spearman_parameters",
    "spearman_flops",
    "subnets",
    "epochs_supernet",
    "epochs_standalone",
    "seconds_per_subnet",
}
TINY = replace(
    FORMS["cnn", True],
    space=nas.spaces.CNN(input_shape=(1, 8, 8), blocks=(1, 2), channels=(4, 8), kernels=(3,)),
    data=partial(nas.datasets.Digits, batch_size=512),
    epochs_supernet=1,
    epochs_standalone=1,
    trainings=1,
)


def row(loss: float, *accuracies: float, size: float = 1.0) -> dict[str, object]:
    known = {"inherited_loss": loss, "inherited_accuracy": -loss, "accuracies": accuracies}
    return {**known, "parameters": size, "flops": -size}


def test_it_goes_on_where_it_was_interrupted(tmp_path, monkeypatch) -> None:
    output, trained = tmp_path / "ranks.json", []
    alone = supernet.train_alone

    def interrupted(form, architecture, seed):
        if len(trained) == 5:
            raise KeyboardInterrupt
        trained.append(architecture.digest)
        return alone(form, architecture, seed)

    monkeypatch.setattr(supernet, "train_alone", interrupted)
    with pytest.raises(KeyboardInterrupt):
        supernet.run(TINY, 20, jobs=1, output=output)
    first, trained[:] = set(trained), []
    monkeypatch.setattr(
        supernet, "train_alone", lambda *task: trained.append(task) or alone(*task)
    )
    result = supernet.run(TINY, 20, jobs=1, output=output)
    assert len(trained) == 15
    assert not first & {architecture.digest for _, architecture, _ in trained}
    assert json.loads(output.read_text()) == json.loads(json.dumps(result))
    assert [*tmp_path.iterdir()] == [output]
    assert result.keys() >= CONTRACT
    assert result["subnets"] == len(result["networks"]) == 20
    assert len({network["network"] for network in result["networks"]}) == 20
    assert all(cost > 0 for cost in result["costs"].values())
    with pytest.raises(DescriptionError, match="there already"):
        supernet.run(TINY, 20, jobs=1, output=output)


def test_the_command_prints_the_contract_and_writes_a_plot(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(FORMS, ("cnn", True), TINY)
    plot = tmp_path / "ranks.html"
    options = ["--smoke", "--networks", "20", "--jobs", "1", "--seed", "3"]
    ran = CliRunner().invoke(
        main,
        ["bench", "supernet", *options, "--json", "--plot", str(plot)],
        catch_exceptions=False,
    )
    assert ran.exit_code == 0
    result = json.loads(ran.stdout)
    assert result.keys() >= CONTRACT
    assert "inherited weights" in plot.read_text()
    console = Console(record=True, width=140)
    console.print(supernet.table(result))
    assert "Spearman, parameters" in console.export_text()


def test_too_few_networks_are_refused() -> None:
    with pytest.raises(DescriptionError, match="at least 20 networks"):
        supernet.run(TINY, 19)


def test_networks_over_the_cap_are_not_compared() -> None:
    data = TINY.data()
    every = supernet._drawn(TINY, data, 20, 0)
    flops = sorted(supernet._flops(architecture, data) for architecture in every)
    capped = supernet._drawn(replace(TINY, most_flops=flops[15]), data, 20, 0)
    assert max(supernet._flops(architecture, data) for architecture in capped) <= flops[15]
    assert len({architecture.digest for architecture in capped}) == 20


numbers = st.integers(0, 9).map(float)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=12))
def test_rank_correlations_are_those_of_scipy(pairs) -> None:
    one, other = np.array(pairs).T
    for ours, theirs in ((spearman, spearmanr), (kendall, kendalltau)):
        varies = np.ptp(one) > 0 and np.ptp(other) > 0
        expected = theirs(one, other).statistic if varies else 0.0
        assert ours(one, other) == pytest.approx(expected)
        assert ours(np.stack([one, -one]), np.stack([other, other])) == pytest.approx(
            [expected, -expected]
        )


def test_an_order_that_training_confirms_correlates_fully() -> None:
    rows = [row(loss, -loss, -loss, size=loss) for loss in (3.0, 1.0, 2.0, 5.0)]
    found = correlations(rows)
    for name in ("spearman", "kendall", "spearman_accuracy", "spearman_flops"):
        assert found[name] == pytest.approx(1)
    assert found["spearman_parameters"] == pytest.approx(-1)
    assert found["over_parameters"] == pytest.approx(0)
    assert found["spearman_trainings"] == pytest.approx(1)


def test_correlations_are_what_is_left_of_the_order() -> None:
    rows = [row(loss, accuracy) for loss, accuracy in zip([4, 3, 2, 1], [1, 3, 2, 4], strict=True)]
    found = correlations(rows)
    assert found["spearman"] == pytest.approx(0.8)
    assert found["kendall"] == pytest.approx(2 / 3)
    assert found["spearman_parameters"] == 0  # which do not vary
    assert found["over_parameters"] == found["spearman"]
    assert found["spearman_trainings"] is None
    low, high = found["intervals"]["spearman"]
    assert -1 <= low < 0.8 < high <= 1
