import inspect
import math
import statistics

import numpy as np
import optuna
import pytest
from histories import (
    candidates,
    check_constant_changes_nothing,
    check_equal_to_optunas,
    histories,
    study_with,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.pruners import SuccessiveHalvingPruner
from optuna.trial import TrialState

from optuna_nas.bench.pruner import halve
from optuna_nas.exceptions import DescriptionError
from optuna_nas.pareto import hypervolume
from optuna_nas.pruners import ParetoSuccessiveHalving, report, should_prune

arguments = st.one_of(
    st.fixed_dictionaries(
        {
            "min_resource": st.integers(1, 5),
            "reduction_factor": st.integers(2, 4),
            "min_early_stopping_rate": st.integers(0, 2),
            "bootstrap_count": st.integers(0, 3),
        }
    ),
    st.fixed_dictionaries({"reduction_factor": st.integers(2, 4)}),
)
directions = st.sampled_from(["minimize", "maximize"])


@settings(deadline=None, max_examples=200)
@given(histories, arguments, directions)
def test_with_one_objective_decisions_are_those_of_optuna(history, arguments, direction):
    check_equal_to_optunas(
        ParetoSuccessiveHalving(**arguments),
        SuccessiveHalvingPruner(**arguments),
        history,
        direction,
    )


@settings(deadline=None, max_examples=200)
@given(histories, arguments, directions, directions, st.booleans())
def test_a_constant_second_objective_changes_no_decision(history, arguments, one, other, first):
    check_constant_changes_nothing(
        lambda: ParetoSuccessiveHalving(**arguments), history, one, other, first
    )


def run(study, curves, continues=None):
    """Report vectors by step until pruned; the last step."""
    if continues is not None:
        study.enqueue_trial({}, user_attrs={"continues": continues})
    trial = study.ask()
    for step, vector in curves.items():
        report(trial, step, dict(enumerate(vector)))
        if should_prune(trial):
            study.tell(trial, state=TrialState.PRUNED)
            return step
    study.tell(trial, curves[max(curves)])
    return max(curves)


def test_a_rung_holds_the_last_vector_and_nan_leaves_none():
    study = study_with(ParetoSuccessiveHalving(2, 2), ["maximize", "minimize"])
    assert run(study, {1: (0.1, 1.0), 5: (0.2, 1.0)}) == 5
    assert run(study, {1: (0.1, math.nan), 3: (0.9, math.nan)}) == 3
    assert run(study, {1: (math.nan, 0.1), 3: (0.9, 0.5)}) == 3
    rungs = [{k: v for k, v in t.system_attrs.items() if "rung" in k} for t in study.trials]
    first = {"completed_rung_0": [0.2, 1.0], "completed_rung_1": [0.2, 1.0]}
    assert rungs == [first, {}, {"completed_rung_0": [0.9, 0.5]}]


def test_a_lineage_counts_once_and_climbs_on_from_where_it_was():
    study = study_with(ParetoSuccessiveHalving(1, 2), ["minimize", "minimize"])
    run(study, {1: (5.0, 5.0)})
    run(study, {1: (4.0, 4.0)}, continues=0)
    run(study, {2: (3.0, 3.0)}, continues=1)
    attrs = [
        set(trial.system_attrs) & {"completed_rung_0", "completed_rung_1"}
        for trial in study.trials
    ]
    assert attrs == [{"completed_rung_0"}, set(), {"completed_rung_1"}]
    # Beside one lineage, not three trials, the quota of a rung is one: the worse is pruned.
    assert run(study, {1: (6.0, 6.0), 2: (6.0, 6.0)}) == 1


def test_of_a_lineage_the_latest_value_at_a_rung_counts():
    study = study_with(ParetoSuccessiveHalving(1, 2), ["minimize", "minimize"])
    for value, attrs in ((1.0, {}), (9.0, {"continues": 0})):
        state, rung = TrialState.FAIL, {"completed_rung_0": [value, value]}
        lost = optuna.trial.create_trial(state=state, system_attrs=rung, user_attrs=attrs)
        study.add_trial(lost)
    assert run(study, {1: (5.0, 5.0)}) == 1
    assert study.trials[-1].state == TrialState.COMPLETE


def test_an_estimated_resource_is_kept_for_every_later_run():
    def one(study, longest):
        return run(study, {longest: (1.0, 1.0)})

    study = study_with(ParetoSuccessiveHalving(), ["minimize"] * 2)
    for longest in (300, 900, 900):
        one(study, longest)
    assert study._storage.get_study_system_attrs(study._study_id) == {"nas:min_resource": 3}


def test_inherited_rungs_need_a_trial_to_inherit_from():
    study = study_with(ParetoSuccessiveHalving(1, 2), ["minimize"] * 2)
    assert run(study, {1: (1.0, 1.0)}, continues=7) == 1
    assert "completed_rung_0" in study.trials[0].system_attrs


@pytest.mark.parametrize(
    "arguments",
    [
        {"min_resource": 0},
        {"min_resource": "half"},
        {"reduction_factor": 1},
        {"min_early_stopping_rate": -1},
        {"bootstrap_count": -1, "min_resource": 1},
        {"bootstrap_count": 1},
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(DescriptionError, match=r"expected .* got"):
        ParetoSuccessiveHalving(**arguments)


def test_its_arguments_are_those_of_optuna():
    ours = inspect.signature(ParetoSuccessiveHalving).parameters.values()
    optunas = inspect.signature(SuccessiveHalvingPruner).parameters.values()
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in optunas]


ladders = [(1, 3, 4), (2, 3, 4), (1, 4, 4), (2, 3, 3), (3, 3, 3), (1, 2, 6), (4, 4, 2), (12, 4, 2)]


@pytest.mark.parametrize("ladder", ladders, ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_tiny_useless_networks_do_not_live_for_ever(ladder, seed):
    accuracy, latency, order = candidates(seed)
    first, factor, rungs = ladder
    steps = [first * factor**rung for rung in range(rungs)]
    study = study_with(ParetoSuccessiveHalving(first, factor), ["maximize", "minimize"])
    reached = 0
    for candidate in order:
        seen = {step: (accuracy[candidate, step - 1], latency[candidate]) for step in steps}
        reached += run(study, seen) == steps[-1] and candidate < 50
    assert reached <= 3


def test_most_of_a_real_front_survives_a_sixth_of_the_epochs(real):
    accuracy, latency = real
    points = np.column_stack([-accuracy[:, -1], latency])
    worst = points.max(axis=0).tolist()
    kept, spent = [], []
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(latency)).tolist()
        pruner = ParetoSuccessiveHalving(min_resource=12, reduction_factor=4)
        survivors, epochs = halve(accuracy, latency, pruner, order, blind=False)
        kept.append(hypervolume(points[survivors], worst) / hypervolume(points, worst))
        spent.append(epochs / accuracy.size)
    assert statistics.mean(kept) >= 0.965
    assert statistics.mean(spent) <= 0.185
