"""What the front prefers, beside random networks."""

from __future__ import annotations

import json

import optuna
import pytest
from synthetic import make_study, make_trial, study_of

import optuna_nas as nas
from optuna_nas.architecture import Architecture
from optuna_nas.reporting.preferences import Preference, preferences


def network(*channels: int, kind: str = "conv") -> dict[str, object]:
    layers = [(f"layer{i}", kind, {"channels": c}) for i, c in enumerate(channels)]
    drawn = Architecture.chain([*layers, ("classify", "classify", {})])
    return {"architecture": json.loads(drawn.to_json()), "digest": drawn.digest}


def rows(study: optuna.Study, **options: object) -> dict[tuple[str, str], Preference]:
    return {(row.group, row.value): row for row in preferences(study, **options).rows}


def test_shares_are_means_over_networks_of_shares_of_their_nodes() -> None:
    best = [make_trial((0.9, 2.0), **network(8, 16, 16, 16)), make_trial((0.8, 1.0), **network(8))]
    others = [make_trial((0.1, 9.0), **network(16, kind="separable")) for _ in range(2)]
    found = rows(study_of([*best, *others, make_trial((0.1, 9.0), **network(8, 16))]))
    wide = found["channels", "16"]
    assert wide.front == pytest.approx((0.75 + 0.0) / 2)
    assert wide.error == pytest.approx(0.375)
    assert wide.random == pytest.approx((0.75 + 0.0 + 1.0 + 1.0 + 0.5) / 5)
    assert found["operator", "separable"].random == pytest.approx(2 / 5)
    assert ("operator", "classify") not in found


def test_random_networks_are_drawn_from_the_space_where_it_is_known() -> None:
    space = nas.spaces.CNN(input_shape=(1, 8, 8), blocks=(1, 3), channels=(8, 16))
    study = study_of([make_trial((0.9, 2.0), **network(8, 8))])
    assert preferences(study).rows == []
    found = preferences(study, space)
    assert (found.networks, found.others, found.source) == (1, 200, "200 random networks")
    half = rows(study, space=space)["channels", "8"]
    assert half.front == 1.0 and half.error == 0.0 and 0.4 < half.random < 0.6


def test_only_first_trials_stand_for_random_ones_unless_all_are() -> None:
    trials = [make_trial((float(n), 1.0), network=str(n), **network(8)) for n in range(30)]
    study = study_of(trials)
    assert preferences(study).others == 10
    study.set_user_attr("search", {"sampler": "random"})
    assert preferences(study).others == 30


def test_a_space_that_cannot_be_drawn_from_leaves_the_first_trials() -> None:
    def space(trial: object) -> None:
        raise RuntimeError("needs its data")

    trials = [make_trial((float(n), 1.0), network=str(n), **network(8)) for n in range(6)]
    assert preferences(study_of(trials), space).source == "first 6 trials"


def test_parameters_are_compared_where_there_are_no_graphs() -> None:
    def objective(trial: optuna.Trial) -> float:
        width = trial.suggest_int("width", 1, 100)
        if trial.suggest_categorical("deep", [True, False]):
            trial.suggest_float("dropout", 0, 1)
        return -width

    study = make_study(names=["loss"], directions=["minimize"])
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    study.optimize(objective, n_trials=12)
    found = rows(study)
    widths = [row for (group, _), row in found.items() if group == "width"]
    assert len(widths) == 4  # a hundred values in quarters
    assert sum(row.random for row in widths) == pytest.approx(1)
    assert all(value == "yes" for group, value in found if group == "deep")
