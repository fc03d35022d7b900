"""A search with one objective that weighs several: what is recorded, pruned, capped, resumed."""

import io
import math
from dataclasses import replace

import numpy as np
import optuna
import pytest
from metered import Metered
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState
from rich.console import Console

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError, StudyError
from optuna_nas.objectives import Accuracy, FLOPs, Latency, Metric, Parameters, Weighted
from optuna_nas.reporting import front_table
from optuna_nas.reporting.html import write_report
from optuna_nas.reporting.text import with_spread
from optuna_nas.study.record import records
from optuna_nas.study.remeasure import remeasure

X = np.random.default_rng(0).normal(size=(120, 6)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("int64")
J = Weighted(name="j", linear={"accuracy": 1}, log={"parameters": -0.05})


def space(trial: optuna.Trial) -> nas.Architecture:
    width = trial.suggest_int("width", 1, 60)
    hidden = ("hidden", "linear", {"features": width, "norm": "none"})
    return nas.Architecture.chain([hidden, ("head", "classify", {})])


@pytest.fixture
def search() -> nas.Search:
    return nas.Search(
        name="weighted",
        space=space,
        data=nas.datasets.ArrayDataModule(X, Y, batch_size=32),
        objectives=[J],
        fidelity=nas.Budget((1, 9)),
        sampler="random",
        samples=0,
    )


@pytest.fixture
def storage() -> BaseStorage:
    return InMemoryStorage()


def test_tpe_and_hyperband_search_digits_by_one_number(tmp_path) -> None:
    search = nas.Search(
        name="digits",
        space=nas.spaces.CNN(input_shape=(1, 8, 8), blocks=(1, 2), channels=(4, 8, 16)),
        data=nas.datasets.Digits(batch_size=128),
        objectives=[J],
        fidelity=nas.Budget((1, 4)),
        sampler="tpe",
        pruner="hyperband",
        threads=1,
    )
    study = search.run(trials=16, storage=f"sqlite:///{tmp_path}/s.db")
    assert study.metric_names == ["j"]
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert {t.state for t in study.trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in study.trials:
        found = trial.user_attrs["measurements"]
        size = found["parameters"]["value"]
        assert all(math.isfinite(v) for v in trial.intermediate_values.values())
        if trial.state == TrialState.COMPLETE:
            expected = found["accuracy"]["value"] - 0.05 * math.log(size)
            assert trial.value == found["j"]["value"] == pytest.approx(expected)
            reused = trial.user_attrs["outcome"] == "reused"
            assert reused or trial.intermediate_values[4] == pytest.approx(expected)
            assert found["accuracy"]["unit"] == "fraction"
            assert found["j"]["formula"] == "+1 accuracy -0.05 log(parameters)"
    best = study.best_trial.user_attrs["measurements"]
    assert study.best_value == best["j"]["value"]
    shown = Console(width=200, file=io.StringIO())
    shown.print(front_table(study))
    accuracy = f" {with_spread(best['accuracy']['value'], None)} "
    assert accuracy in shown.file.getvalue()
    write_report(study, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert '<th class="number">accuracy (fraction)</th>' in page
    assert f">{accuracy.strip()}</td>" in page and "+1 accuracy -0.05 log(parameters)" in page


def test_a_rung_is_judged_by_the_sum_so_far(search, storage) -> None:
    """Of two networks that have learned as much, Hyperband keeps the smaller one."""
    size = Weighted(name="j", linear={"accuracy": 1e-6}, log={"parameters": -1})
    study = replace(search, objectives=[size], pruner="hyperband").run(30, storage)
    pruned = [t for t in study.trials if t.user_attrs["outcome"] == "pruned"]
    kept = [t for t in study.trials if t.user_attrs["outcome"] == "trained"]
    assert pruned and kept
    for trial in (*pruned, *kept):
        parameters = trial.user_attrs["measurements"]["parameters"]["value"]
        for value in trial.intermediate_values.values():
            assert value == pytest.approx(-math.log(parameters), abs=1e-6)
    widths = [np.mean([t.params["width"] for t in group]) for group in (kept, pruned)]
    assert widths[0] < widths[1]


def test_parts_keep_their_caps_and_are_measured_once(search, storage, monkeypatch) -> None:
    sizes: list[int] = []
    measure = FLOPs.__call__

    def counted(self, candidate):
        sizes.append(1)
        return measure(self, candidate)

    monkeypatch.setattr(FLOPs, "__call__", counted)
    capped = Weighted(linear={"accuracy": 1, FLOPs(max=500): -1e-4})
    study = replace(search, objectives=[capped], pruner="none").run(12, storage)
    seen = [r for r in records(study) if r.reused_from is None]
    assert len(sizes) == len(seen)
    outcomes = {record.outcome for record in seen}
    assert outcomes == {"trained", "rejected"}
    for record in seen:
        over = record.measurements["flops"]["value"] > 500
        assert (record.outcome == "rejected") == over
        assert record.epochs == (0 if over else 9)


def test_a_constraint_caps_what_is_a_part_too(search, storage) -> None:
    constrained = replace(search, constraints=[Parameters(max=200)])
    study = constrained.run(8, storage)
    assert {r.outcome for r in records(study)} >= {"rejected"}
    assert all("parameters" in t.constraints for t in study.trials)


def test_a_capped_sum_rejects(search, storage) -> None:
    floor = Weighted(log={"parameters": -1}, min=-math.log(200))
    study = replace(search, objectives=["accuracy"], constraints=[floor]).run(8, storage)
    for record in records(study):
        rejected = record.parameters > 200
        assert (record.outcome == "rejected") == rejected or record.reused_from is not None
        assert record.feasible != rejected


def test_a_part_and_a_constraint_of_one_name_must_be_one_quantity(search) -> None:
    weighs = Weighted(linear={"accuracy": 1, "latency": -1})
    with pytest.raises(DescriptionError, match="one quantity named 'latency', got two"):
        replace(search, objectives=[weighs], constraints=[Latency(threads=2, max=1.0)])
    named = Metric(name="accuracy", unit="", direction="maximize", monitor="val_top5")
    with pytest.raises(DescriptionError, match="one quantity named 'accuracy', got two"):
        replace(search, objectives=[J, named])
    alias = Weighted(name="accuracy", linear={"accuracy": 1})
    with pytest.raises(DescriptionError, match="one quantity named 'accuracy', got two"):
        replace(search, objectives=[alias])


def test_several_objectives_may_have_a_sum_among_them(search, storage) -> None:
    study = replace(search, objectives=[J, "flops"]).run(6, storage)
    for record in records(study):
        size = math.log(record.parameters)
        for values in record.curve.values():
            assert values["flops"] == record.measurements["flops"]["value"]
            assert -0.05 * size <= values["j"] <= 1 - 0.05 * size


def test_a_sum_that_needs_no_training_trains_nothing(search, storage) -> None:
    cheap = Weighted(linear={"flops": 1e-6}, log={"parameters": 1})
    study = replace(search, objectives=[cheap]).run(4, storage)
    assert all(r.epochs == 0 and r.outcome in ("trained", "reused") for r in records(study))
    assert study.direction == optuna.study.StudyDirection.MINIMIZE


def test_a_logarithm_of_nothing_fails_the_trial_with_the_reason(search, storage) -> None:
    impossible = Weighted(
        log={Metric(name="m", unit="", direction="maximize", monitor="val_m"): 1}
    )

    class Zero(nas.model.Classifier):
        def on_validation_epoch_end(self) -> None:
            super().on_validation_epoch_end()
            self.log("val_m", 0.0)

    study = replace(search, objectives=[impossible], module=Zero).run(1, storage)
    assert "expected m above 0 for its logarithm, got 0" in study.trials[0].user_attrs["ended"]


def test_another_weight_is_another_search(search, storage) -> None:
    search.run(1, storage)
    assert len(search.run(1, storage).trials) == 2
    heavier = replace(J, log={"parameters": -0.06})
    with pytest.raises(StudyError, match=r"-0\.05 -> -0\.06"):
        replace(search, objectives=[heavier]).run(1, storage)
    capped = Weighted(name="j", linear={Accuracy(min=0.1): 1}, log={"parameters": -0.05})
    with pytest.raises(StudyError, match="accuracy"):
        replace(search, objectives=[capped]).run(1, storage)


# What depends on the device


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    Metered.seen.clear()
    monkeypatch.setattr(Metered, "scale", 0.1)


def on_device(search: nas.Search) -> nas.Search:
    both = Weighted(linear={"accuracy": 1, Metered(): -0.01}, log={Metered(): -0.1}, min=-3.0)
    return replace(search, objectives=[both], fidelity=nas.Budget((1, 3)))


@pytest.mark.usefixtures("device")
def test_on_another_device_the_sums_follow_from_what_is_measured_there(search, storage) -> None:
    weighs = on_device(search)
    study = weighs.run(12, storage)
    study.set_user_attr("device", {"processor": "abacus"})
    Metered.scale = 0.02
    weighs.prepared.clear()
    measured, trials = len(set(Metered.seen)), study.trials
    Metered.seen.clear()
    after = weighs.study(storage, remeasure=True)
    assert len(Metered.seen) == measured
    sums = 0
    for old, new in zip(trials, after.trials, strict=True):
        before, here = (t.user_attrs["measurements"] for t in (old, new))
        there, now = before["metered"]["value"], here["metered"]["value"]
        assert now == pytest.approx(there / 5)
        gained = 0.01 * (there - now) + 0.1 * math.log(5)
        for step, value in old.intermediate_values.items():
            assert new.intermediate_values[step] == pytest.approx(value + gained)
        if old.values:
            assert new.values[0] == pytest.approx(old.values[0] + gained)
        if "weighted" in before:
            sums += 1
            assert here["weighted"]["value"] == pytest.approx(new.value)
            violation = new.constraints["weighted"]
            assert violation == pytest.approx((-3.0 - new.value) / 3.0)
    assert sums


@pytest.mark.usefixtures("device")
def test_a_front_measured_again_measures_the_parts(search, storage) -> None:
    weighs = on_device(search)
    study = weighs.run(4, storage)
    numbers = [t.number for t in study.trials if t.state == TrialState.COMPLETE][:2]
    (found,) = remeasure(weighs, study, numbers, 2)["objectives"]
    assert found["name"] == "metered"
