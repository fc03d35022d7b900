"""What share of a space keeps the caps, before anything is trained."""

import json
from dataclasses import dataclass, replace

import numpy as np
import optuna
import pytest
import torch
from metered import Metered
from torch import nn

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError, MeasurementError
from optuna_nas.objectives import Candidate, Measurement, Parameters
from optuna_nas.study import feasibility
from optuna_nas.study.feasibility import Feasibility, Quantity

X = np.random.default_rng(0).normal(size=(120, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


def space(trial: optuna.Trial) -> nas.Architecture:
    """A network of 9 * width + 2 parameters."""
    width = trial.suggest_int("width", 1, 100)
    hidden = ("hidden", "linear", {"features": width, "norm": "none"})
    return nas.Architecture.chain([hidden, ("head", "classify", {})])


@dataclass(frozen=True, kw_only=True)
class Absent(Metered):
    """Something that this machine has no counter for."""

    def check(self) -> None:
        raise MeasurementError("no counter here")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing measured yet, and no end of time, which would come sooner on a slow machine."""
    Metered.seen.clear()
    monkeypatch.setattr(feasibility, "SECONDS", 1e6)


@pytest.fixture
def search() -> nas.Search:
    return nas.Search(
        name="caps",
        space=space,
        data=nas.datasets.ArrayDataModule(X, Y, batch_size=32),
        objectives=["accuracy"],
        constraints=[Parameters(max=452), Parameters(name="weights", min=92)],
        fidelity=nas.Budget(1),
    )


def by_name(report: Feasibility) -> dict[str, Quantity]:
    return {quantity.name: quantity for quantity in report.quantities}


def test_shares_and_ranges_are_those_of_the_space(search) -> None:
    """Half the widths keep the first cap, nine in ten the second, four in ten both."""
    report = search.feasibility(400)
    found = by_name(report)
    assert report.samples == 400 and report.failed == 0 and report.reachable
    assert found["parameters"].share == pytest.approx(0.5, abs=0.08)
    assert found["weights"].share == pytest.approx(0.9, abs=0.06)
    assert report.share == pytest.approx(0.4, abs=0.08)
    low, lower, median, upper, high = found["parameters"].range
    assert 11 <= low < lower < median < upper < high <= 902
    assert median == pytest.approx(450, abs=80)
    assert not report.warning


def test_samples_are_a_function_of_the_seed_and_touch_no_study(search, tmp_path) -> None:
    study = search.study(f"sqlite:///{tmp_path}/s.db")
    before = torch.get_rng_state()
    first = search.feasibility(30)
    assert torch.equal(torch.get_rng_state(), before)
    assert search.feasibility(30) == first
    assert replace(search, seed=1).feasibility(30) != first
    assert study.trials == []


def test_the_report_is_stored_as_json_once(search, tmp_path, monkeypatch) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    stored = replace(search, samples=20).run(trials=2, storage=url).user_attrs["feasibility"]
    assert stored == json.loads(json.dumps(search.feasibility(20).as_json()))
    monkeypatch.setattr(feasibility, "_see", None)  # looking again would call it
    again = replace(search, samples=99).run(trials=1, storage=url)
    assert again.user_attrs["feasibility"] == stored


@pytest.mark.parametrize("changed", [{"samples": 0}, {"constraints": ()}])
def test_without_samples_or_caps_there_is_no_report(search, tmp_path, changed) -> None:
    study = replace(search, **changed).study(f"sqlite:///{tmp_path}/s.db")
    assert "feasibility" not in study.user_attrs


def test_caps_on_what_training_tells_are_left_to_it(search, tmp_path) -> None:
    accurate = replace(
        search, objectives=["parameters"], constraints=[nas.objectives.Accuracy(min=2.0)]
    )
    study = accurate.study(f"sqlite:///{tmp_path}/s.db")
    assert "feasibility" not in study.user_attrs


def test_what_no_network_keeps_is_refused_with_what_one_would(search, tmp_path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    impossible = replace(search, constraints=[Parameters(max=10)])
    with pytest.raises(DescriptionError, match=r"parameters at most 10.*nearest has parameters"):
        impossible.run(storage=url)
    study = optuna.load_study(study_name="caps", storage=url)
    assert study.trials == [] and study.user_attrs == {} and study.metric_names is None
    report = impossible.feasibility()
    nearest = by_name(report)["parameters"].nearest
    assert not report.reachable and report.share == 0
    assert replace(search, constraints=[Parameters(max=nearest)]).feasibility().reachable
    assert search.run(trials=1, storage=url).trials  # a cap that can be kept takes the name


def test_caps_that_exclude_each_other_are_named_together(search) -> None:
    report = replace(
        search,
        constraints=[Parameters(max=300), Parameters(name="weights", min=600)],
    ).feasibility()
    found = by_name(report)
    assert (
        not report.reachable and "parameters at most 300, weights at least 600" in report.warning
    )
    assert found["parameters"].share > 0 and found["weights"].share > 0
    nearest = [q.nearest for q in found.values()]
    assert any(value is not None for value in nearest)


def test_a_small_share_is_a_warning(search, tmp_path, caplog) -> None:
    rare = replace(search, constraints=[Parameters(max=11)], samples=400)
    report = rare.feasibility()
    assert report.reachable and 0 < report.share < 0.02
    assert "rejected untrained" in report.warning
    rare.study(f"sqlite:///{tmp_path}/s.db")
    assert report.warning in caplog.text


def test_what_is_measured_is_measured_on_a_few_that_keep_the_other_caps(search) -> None:
    report = replace(search, constraints=[*search.constraints, Metered(max=22.6)]).feasibility()
    metered = by_name(report)["metered"]
    assert metered.samples == len(Metered.seen) == 16
    assert max(Metered.seen) <= 45.2  # at most 452 parameters
    assert metered.share == pytest.approx(0.45, abs=0.15)
    assert report.share == pytest.approx(0.4 * metered.share, abs=0.08)


def test_the_first_few_that_are_measured_stand_for_all_sizes(search) -> None:
    replace(search, constraints=[Metered(max=1e6)]).feasibility(400)
    sizes = sorted(Metered.seen)
    assert len(sizes) == 16
    ranks = [sizes.index(value) for value in Metered.seen]
    assert ranks[:7] == [8, 4, 12, 2, 10, 6, 14]
    assert np.mean(Metered.seen[:4]) == pytest.approx(np.mean(sizes), rel=0.15)


@dataclass(frozen=True, kw_only=True)
class Unloadable(Metered):
    """Cannot measure networks of more than 452 parameters, half of the space."""

    def __call__(self, candidate: Candidate) -> Measurement:
        if sum(p.numel() for p in candidate.network.parameters()) > 452:
            raise RuntimeError("no such operator")
        return super().__call__(candidate)


def test_what_cannot_be_measured_keeps_no_cap(search) -> None:
    report = replace(search, constraints=[Unloadable(max=1e6)]).feasibility(400)
    assert report.share == pytest.approx(0.5, abs=0.1) and report.reachable


@dataclass(frozen=True, kw_only=True)
class Seeing(Metered):
    """Runs the network on the data."""

    def __call__(self, candidate: Candidate) -> Measurement:
        x, _ = next(candidate.batches("train"))
        return Measurement(float(len(candidate.network(x))))


def test_what_is_measured_may_look_at_the_data(search) -> None:
    found = by_name(replace(search, constraints=[Seeing(max=32)]).feasibility(20))
    assert found["metered"].range == (32.0,) * 5 and found["metered"].share == 1


@dataclass(frozen=True, kw_only=True)
class Odd(Parameters):
    """Infinite, or not a number, for most networks."""

    name: str = "odd"

    def __call__(self, candidate: Candidate) -> Measurement:
        value = super().__call__(candidate).value
        return Measurement((value, float("inf"), float("nan"))[int(value) // 9 % 3])


@pytest.mark.parametrize("cap", [452.0, 1.0])
def test_infinities_break_a_cap_and_what_is_no_number_keeps_none(search, cap) -> None:
    report = replace(search, constraints=[Odd(max=cap)]).feasibility()
    odd = by_name(report)["odd"]
    assert odd.range[-1] == float("inf") and odd.share < 0.4
    assert report.failed > 40 and "expected a number for odd, got NaN" in report.failure
    assert report.reachable == (cap > 11)


@pytest.mark.parametrize(
    ("caps", "advice"),
    [
        ({"max": 1.0}, "metered 1.236"),
        ({"min": 3.0}, "metered 1.235"),
        ({"max": 1.0, "min": 0.5}, "metered 1.236"),
    ],
)
def test_the_advice_is_rounded_to_the_side_that_helps(search, monkeypatch, caps, advice) -> None:
    monkeypatch.setattr(Metered, "__call__", lambda *_: Measurement(1.23549))
    report = replace(search, constraints=[Metered(**caps)]).feasibility(5)
    assert f"the nearest has {advice}: loosen" in report.warning


def test_the_device_measures_nothing_that_has_no_cap(search) -> None:
    report = replace(search, objectives=["accuracy", Metered()]).feasibility()
    assert Metered.seen == [] and "metered" not in by_name(report)


def test_before_it_gives_up_on_a_measured_cap_it_looks_at_the_smallest(search) -> None:
    """One size in a hundred keeps the cap: chance would miss it."""
    report = replace(search, constraints=[Metered(max=1.2)]).feasibility()
    assert report.reachable
    report = replace(search, constraints=[Metered(max=1.0)]).feasibility()
    assert not report.reachable
    assert by_name(report)["metered"].nearest == min(Metered.seen) > 1.0


def test_time_ends_the_drawing_and_the_report_says_how_many_were_seen(search, monkeypatch) -> None:
    monkeypatch.setattr(feasibility, "SECONDS", 0.0)
    report = replace(search, constraints=[Metered(max=99)]).feasibility()
    assert report.samples == 16
    assert by_name(report)["metered"].samples == 4
    # But an error costs the search, so that none is raised before all samples are seen.
    none = replace(search, constraints=[Parameters(max=10)]).feasibility(50)
    assert none.samples == 50


def fragile(trial: optuna.Trial) -> nas.Architecture:
    if trial.suggest_categorical("broken", [True, False]):
        raise RuntimeError("no such operator")
    return space(trial)


def broken(trial: optuna.Trial) -> nas.Architecture:
    raise RuntimeError(f"no such operator {trial.suggest_int('x', 0, 9)}")


def test_what_cannot_be_built_counts_as_that(search) -> None:
    report = replace(search, space=fragile).feasibility()
    assert report.failed == pytest.approx(report.samples / 2, abs=25)
    assert report.failure == "RuntimeError: no such operator"
    assert report.share == pytest.approx(0.2, abs=0.08)
    assert by_name(report)["parameters"].samples == report.samples - report.failed


def test_a_space_that_never_builds_is_left_to_the_search_that_says_why(search) -> None:
    report = replace(search, space=broken).feasibility()
    assert report.reachable and report.failed == report.samples
    assert "nothing that was tried works" in report.warning
    assert "no such operator" in report.warning


@dataclass(frozen=True, kw_only=True)
class Refusing(Metered):
    """A device that is never quiet."""

    def __call__(self, candidate: Candidate) -> Measurement:
        raise MeasurementError("disturbed")


def test_a_device_that_measures_nothing_is_no_reason_to_give_up(search) -> None:
    report = replace(search, constraints=[Refusing(max=1.0)]).feasibility()
    assert report.reachable and report.failed >= 16
    assert "disturbed" in report.warning and "metered" not in by_name(report)


def module_space(trial: optuna.Trial) -> nn.Module:
    width = trial.suggest_int("width", 1, 100)
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 2))


def test_spaces_of_plain_modules_are_looked_at_too(search) -> None:
    report = replace(
        search, space=module_space, constraints=[*search.constraints, Metered(max=22.6)]
    ).feasibility()
    assert by_name(report)["metered"].samples == 16 and 0.05 < report.share < 0.4


def test_a_quantity_that_cannot_be_measured_here_is_refused_before_the_first_trial(
    search, tmp_path
) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    with pytest.raises(DescriptionError, match="metered cannot be measured here: no counter"):
        replace(search, objectives=["accuracy", Absent()]).run(storage=url)
    assert optuna.load_study(study_name="caps", storage=url).user_attrs == {}


def test_at_least_one_sample_is_asked_for(search) -> None:
    with pytest.raises(DescriptionError, match="at least 1 sample"):
        search.feasibility(0)
    with pytest.raises(DescriptionError, match="samples"):
        replace(search, samples=-1)
