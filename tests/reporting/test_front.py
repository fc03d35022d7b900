from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import BUDGET, make_search, make_study, make_trial, study_of

from optuna_nas.finalists import audit
from optuna_nas.reporting import (
    front,
    front_json,
    hypervolume_history,
    pace,
    status,
    totals,
    write_report,
)
from optuna_nas.reporting.front import reached
from optuna_nas.reporting.tally import Tally
from optuna_nas.study.record import records

DIRECTIONS = ("maximize", "minimize", "minimize")


@st.composite
def studies(draw: st.DrawFn) -> optuna.Study:
    """Studies with ties, duplicates, constraints and lineages; one to three objectives."""
    directions = DIRECTIONS[: draw(st.integers(1, 3))]
    study = make_study(names=None, directions=directions)
    for number in range(draw(st.integers(0, 25))):
        outcome = draw(st.sampled_from(("trained", "trained", "reused", "pruned", "failed")))
        values = [float(draw(st.integers(0, 4))) for _ in directions]
        network = draw(st.sampled_from(("a", "b", "c", *(f"own{number}" for _ in range(6)))))
        continues = draw(st.none() | st.none() | st.integers(0, number - 1)) if number else None
        study.add_trial(
            make_trial(
                values if outcome in ("trained", "reused") else None,
                outcome,
                network=network,
                epochs=draw(st.integers(0, 9)),
                constraints={"cap": draw(st.sampled_from((-1.0, 0.0, 0.0, 1.0)))},
                **({} if continues is None else {"continues": continues}),
            )
        )
    return study


def losses(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> tuple[float, ...]:
    signs = [-1 if d == optuna.study.StudyDirection.MAXIMIZE else 1 for d in study.directions]
    return tuple(sign * value for sign, value in zip(signs, trial.values, strict=True))


def brute_force(study: optuna.Study) -> dict[int, str]:
    """Number -> digest of every complete, feasible, latest trial that no other one dominates."""
    continued = {t.user_attrs.get("continues") for t in study.trials}
    eligible = {
        t.number: losses(study, t)
        for t in study.trials
        if t.state == optuna.trial.TrialState.COMPLETE
        and t.number not in continued
        and all(c <= 0 for c in t.constraints.values())
    }
    return {
        number: study.trials[number].user_attrs["digest"]
        for number, mine in eligible.items()
        if not any(
            all(a <= b for a, b in zip(other, mine, strict=True)) and other != mine
            for other in eligible.values()
        )
    }


@settings(max_examples=150, deadline=None)
@given(studies())
def test_front_is_the_brute_force_front_with_each_network_once(study: optuna.Study) -> None:
    expected = brute_force(study)
    found = front(study)
    assert {r.number for r in found} <= set(expected)
    assert sorted(r.digest for r in found) == sorted(set(expected.values()))
    firsts = [losses(study, study.trials[r.number])[0] for r in found]
    assert firsts == sorted(firsts)
    for record in found:
        same = [n for n, digest in expected.items() if digest == record.digest]
        outcomes = {study.trials[n].user_attrs["outcome"] for n in same}
        assert record.outcome == "trained" or outcomes == {"reused"}


@settings(max_examples=150, deadline=None)
@given(studies())
def test_hypervolume_never_falls_and_epochs_add_up(study: optuna.Study) -> None:
    history = hypervolume_history(study)
    assert len(history.hypervolume) == len(study.trials)
    assert (np.diff(history.hypervolume) >= 0).all()
    spent = [t.user_attrs["spent"]["epochs"] for t in study.trials]
    assert history.epochs.tolist() == np.cumsum(spent).tolist()


@settings(max_examples=100, deadline=None)
@given(studies(), st.randoms(use_true_random=False))
def test_counting_trial_by_trial_in_any_order_ends_where_storage_does(
    study: optuna.Study, random: object
) -> None:
    order = list(study.trials)
    random.shuffle(order)
    tally = Tally(make_study(names=None, directions=[d.name.lower() for d in study.directions]))
    tally._study = study
    for trial in order:
        tally.add(trial)
    spent = totals(study)
    history = hypervolume_history(study)
    assert +tally.counts == spent.counts
    assert tally.epochs == spent.epochs
    assert [r.number for r in tally.front()] == [r.number for r in front(study)]
    if len(history.hypervolume):
        assert tally.hypervolume() == pytest.approx(history.hypervolume[-1])


def test_reference_is_the_worst_of_the_first_ten_complete_trials() -> None:
    values = [(0.5 + 0.01 * i, 1.0 + i) for i in range(10)]
    study = study_of([make_trial(None, "pruned"), *map(make_trial, values)])
    study.add_trial(make_trial((0.1, 99.0)))
    assert hypervolume_history(study).reference == {"accuracy": 0.5, "latency": 10.0}


def test_infinite_values_neither_set_the_reference_nor_count() -> None:
    study = study_of([make_trial((0.9, float("inf"))), make_trial((0.5, 2.0), network="b")])
    history = hypervolume_history(study)
    assert history.reference == {"accuracy": 0.5, "latency": 2.0}
    assert np.isfinite(history.hypervolume).all()


def test_json_of_the_front_holds_what_storage_holds(search: optuna.Study) -> None:
    listed = front_json(search)
    assert json.loads(json.dumps(listed)) == listed
    assert len(listed) >= 5
    for item in listed:
        trial = search.trials[item["number"]]
        assert set(item) >= {"number", "digest", "network", "architecture", "parameters"}
        assert item["values"] == dict(zip(("accuracy", "latency"), trial.values, strict=True))
        assert item["units"] == {"accuracy": "fraction", "latency": "ms"}
        measured = trial.user_attrs["measurements"]
        assert item["spread"] == {"accuracy": None, "latency": measured["latency"]["spread"]}
        assert item["parameters"] == measured["parameters"]["value"]
        assert item["architecture"] == trial.user_attrs["architecture"]


def test_a_plain_study_with_one_objective_and_no_attributes_has_a_front() -> None:
    study = make_study(names=None, directions=["minimize"])
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=5)
    assert [r.number for r in front(study)] == [study.best_trial.number]
    assert front_json(study)[0]["values"] == {"objective 0": study.best_value}


def test_savings_are_what_full_training_would_have_taken() -> None:
    curve = {1: (0.1, 1.0), 2: (0.2, 1.0), 3: (0.3, 1.0)}
    study = study_of(
        [
            make_trial((0.9, 1.0)),
            make_trial(None, "pruned", epochs=3, curve=curve, network="b"),
            make_trial(None, "rejected", epochs=0, network="c"),
            make_trial((0.9, 1.0), "reused", epochs=0, reused_from=0),
            make_trial(None, "lost", epochs=2, network="d"),
            make_trial((0.8, 1.0), network="d", continues=4),
        ]
    )
    spent = totals(study)
    assert spent.budget == BUDGET
    assert spent.saved == {"pruned": BUDGET - 3, "rejected": BUDGET, "reused": BUDGET}
    assert spent.counts == {"trained": 2, "pruned": 1, "rejected": 1, "reused": 1}
    assert spent.continued == 1
    assert spent.epochs == BUDGET + 3 + 2 + BUDGET


def test_what_went_on_from_its_last_epoch_has_reached_it() -> None:
    study = study_of(
        [
            make_trial(None, "lost", epochs=BUDGET),
            make_trial((0.9, 1.0), epochs=0, continues=0, resumed={"epochs": BUDGET}),
            make_trial((0.9, 1.0), "reused", epochs=0, reused_from=1),
        ]
    )
    spent = totals(study)
    assert [reached(record) for record in records(study)] == [BUDGET, BUDGET, 0]
    assert (spent.epochs, spent.budget) == (BUDGET, BUDGET)
    assert spent.saved["reused"] == BUDGET


def test_a_network_is_on_the_front_by_its_training_not_by_its_reuse() -> None:
    reused = make_trial((0.9, 1.0), "reused", epochs=0, reused_from=1)
    study = study_of([reused, make_trial((0.9, 1.0))])
    assert [r.number for r in front(study)] == [1]


def test_an_empty_study_has_an_empty_front() -> None:
    study = make_search(0)
    assert front(study) == [] and front_json(study) == []
    assert len(hypervolume_history(study).hypervolume) == 0
    assert totals(study).epochs == 0


def test_status_counts_what_is_there(search: optuna.Study) -> None:
    found = status(search)
    assert json.loads(json.dumps(found)) == found
    assert found["trials"] == 60 and found["trained"] == 32 and found["lost"] == 0
    assert found["front"] == len(front(search)) and found["epochs"] == 326
    assert status(make_search(0))["hypervolume"] == 0


def test_metric_names_that_differ_in_the_parentheses_alone_stay_apart() -> None:
    study = optuna.create_study(directions=["minimize", "minimize"])
    study.set_metric_names(["loss (train)", "loss (val)"])
    study.add_trial(optuna.create_trial(values=[1.0, 2.0]))
    assert front_json(study)[0]["values"] == {"loss (train)": 1.0, "loss (val)": 2.0}


def test_attributes_that_make_no_sense_break_nothing() -> None:
    study = optuna.create_study(directions=["minimize", "minimize"])
    for attrs in ({"continues": -1}, {"reused_from": 99}, {"spent": None, "measurements": None}):
        study.add_trial(optuna.create_trial(values=[1.0, 2.0], user_attrs=attrs))
    assert status(study)["trials"] == 3


def test_two_recipes_of_one_network_are_both_on_a_front() -> None:
    study = make_study(names=("accuracy (fraction)", "loss"))
    for number, (rate, values) in enumerate([(0.1, (0.9, 2.0)), (0.2, (0.8, 1.0))]):
        hyperparameters = {"learning_rate": rate, "flip": bool(number)}
        study.add_trial(make_trial(values, hyperparameters=hyperparameters))
    study.add_trial(
        make_trial((0.9, 2.0), "reused", hyperparameters={"learning_rate": 0.1, "flip": False})
    )
    found = front(study)
    assert [record.number for record in found] == [0, 1]
    assert found[0].recipe == "learning_rate=0.1 flip=False"


def test_what_is_printed_as_json_is_json_where_values_are_infinite() -> None:
    study = study_of([make_trial((0.5, -math.inf)), make_trial((math.inf, 1.0), network="b")])
    found = json.loads(json.dumps(front_json(study), allow_nan=False))
    assert [network["values"] for network in found] == [
        {"accuracy": None, "latency": 1.0},
        {"accuracy": 0.5, "latency": None},
    ]


FOREIGN = (
    *("architecture", "digest", "ended", "estimator", "hyperparameters"),
    *("measurements", "network", "outcome", "provenance", "resumed", "reused_from", "spent"),
)


@pytest.mark.parametrize("own", ["text", 3, [1, 2], {"a": 1}, None], ids=str)
def test_attributes_of_a_study_of_anybody_else_are_not_taken_for_ours(
    own: object, tmp_path: Path
) -> None:
    """Plain Optuna lets users call theirs as they like."""
    study = make_study("plain", directions=DIRECTIONS[:2], names=None)
    for name in FOREIGN:
        study.add_trial(optuna.create_trial(values=[0.5, 1.0], user_attrs={name: own}))
    write_report(study, tmp_path / "report.html")
    assert [record.epochs for record in records(study)] == [0] * len(FOREIGN)
    assert {record.number for record in front(study)} >= {0, 2}
    assert audit(study)["versions"] == []


@pytest.mark.parametrize("hours", [-8.0, 0.0, 5.75])
def test_the_pace_is_that_of_trials_in_any_time_zone(hours: float) -> None:
    now, ahead = datetime(2026, 11, 28, 12), timedelta(hours=hours)
    study = study_of([])
    for minute in (3, 2):
        trial = make_trial((0.5, 1.0))
        trial.datetime_start = now + ahead - timedelta(minutes=minute)
        trial.datetime_complete = trial.datetime_start + timedelta(minutes=1)
        renewed = now - timedelta(minutes=minute - 1, seconds=20)
        trial.system_attrs["nas:lease"] = {
            "host": "another",
            "pid": 1,
            "started": 0.0,
            "seconds": 300.0,
            "renewed": renewed.timestamp(),
        }
        study.add_trial(trial)
    assert pace(study, now) == {"workers": 0, "trials_a_minute": 0.67, "seconds_since_last": 60.0}
