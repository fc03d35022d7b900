from __future__ import annotations

import copy
import pickle

import optuna
import pytest

import optuna_nas as nas
from optuna_nas.samplers.virtual import draw


def width(trial: optuna.Trial) -> int:
    return trial.suggest_int("width", 1, 9)


def test_parameters_in_a_scope_have_its_name() -> None:
    trial = optuna.create_study().ask()
    with nas.scope(trial, "stage1") as first, nas.scope(first, "block2") as inner:
        values = [width(trial), width(first), width(inner)]
    assert trial.params == dict(
        zip(("width", "stage1.width", "stage1.block2.width"), values, strict=True)
    )
    assert inner.params == trial.params
    assert inner.number == trial.number
    inner.set_user_attr("key", "value")
    assert trial.user_attrs == {"key": "value"}


def test_every_way_to_ask_is_scoped() -> None:
    fixed = optuna.trial.FixedTrial({"a.f": 0.5, "a.i": 3, "a.c": "x"})
    scoped = nas.scope(fixed, "a")
    assert scoped.suggest_float("f", 0, 1) == 0.5
    assert scoped.suggest_int(name="i", low=1, high=4) == 3
    assert scoped.suggest_categorical("c", ("x", "y")) == "x"


def test_samplers_that_run_the_space_see_the_names() -> None:
    proposal = draw(lambda trial: width(nas.scope(trial, "a")), lambda name, _: 4)
    assert proposal.params == {"a.width": 4}


def test_a_scope_can_be_copied_and_knows_what_it_does_not_have() -> None:
    scoped = nas.scope(optuna.trial.FixedTrial({"a.width": 4}), "a")
    assert width(copy.deepcopy(scoped)) == width(pickle.loads(pickle.dumps(scoped))) == 4
    with pytest.raises(AttributeError, match="nonsense"):
        _ = scoped.nonsense
