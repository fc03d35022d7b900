import math

import optuna
import pytest
from histories import (
    check_constant_changes_nothing,
    check_equal_to_optunas,
    histories,
    replay,
    study_with,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.pruners import HyperbandPruner

from optuna_nas.exceptions import DescriptionError
from optuna_nas.pruners import ParetoHyperband, report, should_prune, standings

arguments = st.fixed_dictionaries(
    {
        "min_resource": st.integers(1, 6),
        "max_resource": st.integers(6, 60) | st.just("auto"),
        "reduction_factor": st.integers(2, 4),
    }
)
directions = st.sampled_from(["minimize", "maximize"])


@settings(deadline=None, max_examples=200)
@given(histories, arguments, directions)
def test_with_one_objective_decisions_are_those_of_optuna(history, arguments, direction):
    check_equal_to_optunas(
        ParetoHyperband(**arguments), HyperbandPruner(**arguments), history, direction
    )


@settings(deadline=None, max_examples=200)
@given(histories, st.integers(1, 4), directions)
def test_with_a_bootstrap_count_too(history, count, direction):
    ours, optunas = ParetoHyperband(1, 27, 3, count), HyperbandPruner(1, 27, 3, count)
    check_equal_to_optunas(ours, optunas, history, direction)


@settings(deadline=None)
@given(histories, st.integers(1, 3), directions, directions)
def test_what_a_process_has_read_changes_no_decision(history, objectives, one, other):
    def vector(value):
        return [value, math.sin(50 * value), value % 0.7][:objectives]

    names = [one, other, one][:objectives]
    kept = replay(study_with(ParetoHyperband(1, 27), names), history, vector)
    anew = study_with(ForgetfulHyperband(1, 27), names)
    assert replay(anew, history, vector) == kept


class ForgetfulHyperband(ParetoHyperband):
    """Decides as a process that has just begun."""

    def prune(self, study, trial):
        standings._READ.clear()
        return super().prune(study, trial)


@settings(deadline=None, max_examples=200)
@given(histories, arguments, directions, directions, st.booleans())
def test_a_constant_second_objective_changes_no_decision(history, arguments, one, other, first):
    check_constant_changes_nothing(
        lambda: ParetoHyperband(**arguments), history, one, other, first
    )


def test_an_estimated_resource_is_kept_for_every_later_run():
    study = study_with(ParetoHyperband(1), ["minimize"] * 2)
    trial = study.ask()
    report(trial, 8, {"a": 1.0, "b": 1.0})
    assert not should_prune(trial)
    assert "nas:max_resource" not in study._storage.get_study_system_attrs(study._study_id)
    study.tell(trial, [1.0, 1.0])
    longer = study.ask()
    report(longer, 80, {"a": 1.0, "b": 1.0})
    should_prune(longer)
    study.tell(longer, [1.0, 1.0])
    assert study._storage.get_study_system_attrs(study._study_id)["nas:max_resource"] == 9
    resumed = ParetoHyperband(1)
    assert resumed._longest(study) == 9


def test_a_lineage_keeps_the_bracket_of_its_first_trial():
    pruner = ParetoHyperband(1, 9, 3)
    study = study_with(pruner, ["minimize"] * 2)
    for number in range(30):
        study.enqueue_trial({}, user_attrs={"continues": number - 1} if number else {})
        trial = study.ask()
        report(trial, 1, {"a": float(-number), "b": 1.0})
        should_prune(trial)
    completed = [sorted(k for k in t.system_attrs if "rung" in k) for t in study.trials]
    assert completed == [["completed_rung_0"]] + [[]] * 29


@pytest.mark.parametrize(
    "arguments",
    [
        {"min_resource": 0},
        {"max_resource": "longest"},
        {"max_resource": 0},
        {"min_resource": 9, "max_resource": 3},
        {"reduction_factor": 1},
        {"bootstrap_count": -1, "max_resource": 9},
        {"bootstrap_count": 1},
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(DescriptionError, match=r"expected .* got"):
        ParetoHyperband(**arguments)


def test_its_arguments_are_those_of_optuna():
    import inspect

    ours, optunas = inspect.signature(ParetoHyperband), inspect.signature(HyperbandPruner)
    assert [(p.name, p.default) for p in ours.parameters.values()] == [
        (p.name, p.default) for p in optunas.parameters.values()
    ]


def test_it_never_prunes_where_training_ends_before_the_first_rung():
    study = study_with(ParetoHyperband(min_resource=50), ["minimize"] * 2)
    for value in range(5):
        trial = study.ask()
        report(trial, 3, {"a": float(value), "b": 1.0})
        assert not should_prune(trial)
        study.tell(trial, [1.0, 1.0])
    assert all(t.state == optuna.trial.TrialState.COMPLETE for t in study.trials)
