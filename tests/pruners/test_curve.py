import json
import math
import subprocess
import sys

import numpy as np
import optuna
import pytest
from optuna.trial import FixedTrial, TrialState, create_trial

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError, ReportError
from optuna_nas.pruners import curve, report, should_prune


def make_study(directions=("maximize", "minimize"), names=None, pruner=None):
    pruner = pruner or nas.pruners.ParetoHyperband(1, 9)
    study = optuna.create_study(directions=list(directions), pruner=pruner)
    if names:
        study.set_metric_names(list(names))
    return study


def test_the_pruners_load_without_torch():
    code = "import sys, optuna_nas.pruners; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_one_objective_is_reported_as_optuna_does():
    study = make_study(["minimize"], names=["loss"])
    trial = study.ask()
    report(trial, 3, {"loss": 0.5})
    report(trial, 1, {"loss": 0.7})
    assert study.trials[0].intermediate_values == {3: 0.5, 1: 0.7}
    assert curve(study.trials[0], 1) == {1: (0.7,), 3: (0.5,)}


def test_several_objectives_are_one_attribute_a_step_and_no_intermediate_value():
    study = make_study(names=["accuracy", "latency (ms)"])
    trial = study.ask()
    report(trial, 10, {"latency": 2.0, "accuracy": 0.9})
    report(trial, 9, {"accuracy": np.float32(0.5), "latency (ms)": 2})
    stored = study.trials[0]
    assert stored.intermediate_values == {}
    assert stored.system_attrs == {"nas:step:10": [0.9, 2.0], "nas:step:9": [0.5, 2.0]}
    assert list(curve(stored, 2).items()) == [(9, (0.5, 2.0)), (10, (0.9, 2.0))]


def test_without_metric_names_the_order_of_the_mapping_counts():
    study = make_study()
    report(study.ask(), 1, {"b": 1.0, "a": 2.0})
    assert curve(study.trials[0], 2) == {1: (1.0, 2.0)}


def test_nan_and_infinities_are_stored_as_strict_json():
    study = make_study(["minimize"] * 3)
    report(study.ask(), 1, {"a": math.nan, "b": math.inf, "c": -math.inf})
    assert json.loads(json.dumps(study.trials[0].system_attrs, allow_nan=False))
    (vector,) = curve(study.trials[0], 3).values()
    assert math.isnan(vector[0])
    assert vector[1:] == (math.inf, -math.inf)


def test_a_step_reported_again_is_ignored_with_a_warning():
    study = make_study()
    trial = study.ask()
    report(trial, 1, {"a": 1.0, "b": 1.0})
    with pytest.warns(UserWarning, match="step 1"):
        report(trial, 1, {"a": 2.0, "b": 2.0})
    reloaded = optuna.Trial(study, trial._trial_id)
    with pytest.warns(UserWarning, match="step 1"):
        report(reloaded, 1, {"a": 2.0, "b": 2.0})
    assert curve(study.trials[0], 2) == {1: (1.0, 1.0)}


@pytest.mark.parametrize("objectives", [1, 2])
def test_a_step_is_a_non_negative_integer(objectives):
    study = make_study(["minimize"] * objectives)
    values = dict.fromkeys("ab"[:objectives], 1.0)
    with pytest.raises(ValueError, match="-1"):
        report(study.ask(), -1, values)
    with pytest.raises(TypeError, match="step"):
        report(study.ask(), "later", values)


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        *[("a", ""), ("a", "ab"), ("a", "x"), ("ab", "a"), ("ab", "abc"), ("ab", "ax")],
        *[(None, ""), (None, "a"), (None, "abc")],
    ],
)
def test_a_missing_or_extra_key_is_an_error(names, keys):
    study = make_study(["minimize"] * len(names or "ab"), names)
    with pytest.raises(ReportError, match=r"expected .* got"):
        report(study.ask(), 1, dict.fromkeys(keys, 1.0))


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("value", [None, "0.5", [1.0, 2.0], {}])
def test_a_value_that_is_no_number_is_an_error(objectives, value):
    study = make_study(["minimize"] * objectives)
    with pytest.raises(ReportError, match="expected a number for 'a'"):
        report(study.ask(), 1, {"a": value, "b": 1.0} if objectives == 2 else {"a": value})


def test_trials_for_debugging_report_nothing_and_are_never_pruned():
    for trial in (FixedTrial({}), create_trial(value=1.0)):
        report(trial, 1, {"anything": 1.0})
        assert not should_prune(trial)


@pytest.mark.parametrize(
    "stock",
    [
        optuna.pruners.MedianPruner(),
        optuna.pruners.HyperbandPruner(),
        optuna.pruners.SuccessiveHalvingPruner(),
        optuna.pruners.PatientPruner(None, 1),
    ],
    ids=lambda pruner: type(pruner).__name__,
)
def test_a_stock_pruner_is_refused_with_several_objectives(stock):
    trial = make_study(pruner=stock).ask()
    report(trial, 1, {"a": 1.0, "b": 1.0})
    with pytest.raises(DescriptionError, match=rf"{type(stock).__name__}.*ParetoHyperband"):
        should_prune(trial)


def test_any_pruner_serves_one_objective_and_none_serves_several():
    assert not should_prune(make_study(["minimize"], pruner=optuna.pruners.MedianPruner()).ask())
    assert not should_prune(make_study(pruner=optuna.pruners.NopPruner()).ask())


def test_a_multi_objective_tpe_study_with_pruned_trials_runs():
    study = optuna.create_study(
        directions=["maximize", "minimize"],
        sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=5),
        pruner=nas.pruners.ParetoSuccessiveHalving(1, 2),
    )

    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        for step in range(1, 5):
            nas.report(trial, step, {"accuracy": x * step, "cost": x**2})
            if nas.should_prune(trial):
                raise optuna.TrialPruned
        return x * 4, x**2

    study.optimize(objective, n_trials=40)
    states = [trial.state for trial in study.trials]
    assert states.count(TrialState.PRUNED) > 5
    assert states.count(TrialState.COMPLETE) > 0


def test_reports_read_nothing_from_storage_after_the_first(monkeypatch) -> None:
    """Each read of a database costs as long as the write that has to be."""
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage, directions=["minimize", "maximize"])
    study.set_metric_names(["loss", "accuracy"])
    trial = study.ask()
    report(trial, 1, {"accuracy": 0.5, "loss": 2.0})
    monkeypatch.setattr(storage, "get_study_system_attrs", None)
    report(trial, 2, {"accuracy": 0.75, "loss": 1.0})
    monkeypatch.undo()
    assert curve(study.trials[0], 2) == {1: (2.0, 0.5), 2: (1.0, 0.75)}
