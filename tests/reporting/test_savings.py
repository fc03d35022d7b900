"""What was saved, importance of parameters, and brackets: all from storage alone."""

from __future__ import annotations

import optuna
import pytest
from synthetic import make_search, make_study, make_trial, study_of

from optuna_nas.pruners import ParetoHyperband
from optuna_nas.pruners.pareto_hyperband import bracket_of, bracket_sizes
from optuna_nas.reporting.brackets import brackets
from optuna_nas.reporting.importances import importances
from optuna_nas.reporting.savings import savings
from optuna_nas.study.record import records


def test_savings_are_epochs_up_to_a_full_training_at_the_median_pace() -> None:
    study = study_of(
        [
            make_trial((0.5, 1.0), spent={"epochs": 9, "seconds": 18.0, "joules": 90.0}),
            make_trial(None, "pruned", epochs=3, spent={"epochs": 3, "seconds": 1.0}),
            make_trial(None, "rejected", epochs=0, spent={"epochs": 0, "seconds": 0.5}),
            make_trial((0.5, 1.0), "reused", spent={"epochs": 0, "seconds": 1.0}, reused_from=0),
        ]
    )
    spent, pruned, rejected, reused = savings(study)
    assert spent[2:] == (4, 12, 20.5, 90.0)
    assert pruned[2:] == (1, 6, 12.0, 60.0)
    assert rejected[2:] == (1, 9, 18.0, 90.0)
    assert reused[2:] == (1, 9, 17.0, 90.0)


def test_nothing_is_estimated_where_nothing_was_trained_to_the_end() -> None:
    (spent,) = savings(study_of([make_trial(None, "pruned", epochs=3)]))
    assert spent.kind == "spent" and savings(make_search(0)) == []


def test_importance_counts_whether_a_conditional_parameter_is_there() -> None:
    def objective(trial: optuna.Trial) -> float:
        value = 0.1 * trial.suggest_float("always", 0, 1)
        if trial.suggest_categorical("switch", [False, True]):
            value += trial.suggest_float("inside", 0, 9)
        return value

    study = make_study(names=["gain"], directions=["maximize"])
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    study.optimize(objective, n_trials=19)
    assert importances(study).shares == {}
    study.optimize(objective, n_trials=41)
    found = importances(study)
    shares = found.shares["gain"]
    assert shares["inside"] > shares["always"] and sum(shares.values()) == pytest.approx(1)
    assert found.trials == found.present["always"] == 60 > found.present["inside"]


@pytest.mark.parametrize("known", ["pruner", "search", "class"])
def test_brackets_are_those_the_pruner_put_trials_in(known: str) -> None:
    study = study_of([make_trial((0.5, 1.0)), *[make_trial((0.5, 1.0), continues=0)] * 2])
    if known == "pruner":
        study.pruner = ParetoHyperband(min_resource=1, max_resource=9)
    else:
        classed = {"class": "ParetoHyperband", "min_resource": 1, "max_resource": 9}
        said = {"search": "hyperband", "class": {**classed, "reduction_factor": 3}}[known]
        fidelity = {"class": "Budget", "epochs": [1, 9]}
        study.set_user_attr("search", {"pruner": said, "fidelity": fidelity})
    bracket = bracket_of(study.study_name, 0, bracket_sizes(1, 9, 3))
    assert brackets(study, records(study)) == {0: bracket, 1: bracket, 2: bracket}


@pytest.mark.parametrize("said", [None, "learning-curve", {"class": "NopPruner"}])
def test_a_study_without_hyperband_has_no_brackets(said: object) -> None:
    study = study_of([make_trial((0.5, 1.0))])
    study.set_user_attr("search", {"pruner": said, "fidelity": {"epochs": [1, 9]}})
    assert brackets(study, records(study)) == {}
