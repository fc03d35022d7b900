import numpy as np
import optuna
import pytest
from synthetic import make_search, make_trial, study_of

import optuna_nas as nas
from optuna_nas.reporting.fidelities import agreements
from optuna_nas.reporting.html import write_report


def shuffled(flip):
    """Ten networks whose order after three epochs is that after nine, or the opposite."""
    trials = []
    for i in range(10):
        curve = {3: (0.5 + (-1 if flip else 1) * 0.01 * i, 1.0), 9: (0.6 + 0.02 * i, 1.0)}
        trials.append(make_trial(curve[9], curve=curve, network="c" * (i + 1)))
    stopped = [make_trial(None, "pruned", curve={3: (0.4, 1.0)}, network="d" * i) for i in (3, 5)]
    return study_of([*trials, *stopped])


@pytest.mark.parametrize(("flip", "expected"), [(False, 1.0), (True, -1.0)])
def test_rungs_agree_as_far_as_they_order_networks_alike(flip, expected):
    (found,) = agreements(shuffled(flip))
    assert (found.objective, found.early, found.late) == ("accuracy", "step 3", "the end")
    assert found.networks == 10
    assert found.correlation == pytest.approx(expected)


def test_few_networks_and_equal_values_agree_in_nothing():
    assert agreements(make_search(4)) == []
    same = [
        make_trial((0.5, 1.0), curve={3: (0.4, 1.0), 9: (0.5, 1.0)}, network="c" * i)
        for i in range(1, 9)
    ]
    assert agreements(study_of(same)) == []


def test_the_predictor_is_told_of_where_it_has_enough_to_learn_from():
    def objective(trial):
        width = trial.suggest_int("width", 1, 100)
        for epoch in (1, 2, 3):
            nas.report(trial, epoch, {"accuracy": 1 - 1 / (width + epoch), "latency": width})
            if nas.should_prune(trial):
                raise optuna.TrialPruned
        return 1 - 1 / (width + 3), width

    study = optuna.create_study(
        study_name="s",
        directions=["maximize", "minimize"],
        pruner=nas.pruners.ParetoSuccessiveHalving(1, reduction_factor=3),
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    study.set_metric_names(["accuracy", "latency"])
    study.optimize(objective, n_trials=10)
    assert _told(study) == []
    study.optimize(objective, n_trials=50)
    (found,) = _told(study)
    assert found.objective == "accuracy"
    assert found.correlation > 0.9


def _told(study):
    return [item for item in agreements(study) if item.early == "predictor"]


def test_the_report_shows_them(tmp_path):
    study = make_search(80)
    write_report(study, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert 'id="agreements"' in text
    assert np.all([f"{item.correlation:.2f}" in text for item in agreements(study)])
    write_report(study_of([]), tmp_path / "empty.html")
    assert 'id="agreements"' not in (tmp_path / "empty.html").read_text()
