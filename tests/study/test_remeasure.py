"""Measuring a front again, and a whole study on another device."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import numpy as np
import optuna
import pytest
from metered import Metered
from optuna.trial import TrialState
from torch import nn

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError, MeasurementError, StudyError
from optuna_nas.measuring.device import fingerprint
from optuna_nas.objectives import Candidate, Measurement
from optuna_nas.reporting import front
from optuna_nas.study.record import records
from optuna_nas.study.remeasure import rebuilt, remeasure

X = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")
OLD = {"processor": "abacus", "cores": 2}


def space(trial: optuna.Trial) -> nas.Architecture:
    """A network of 9 * width + 2 parameters."""
    width = trial.suggest_int("width", 1, 20)
    hidden = ("hidden", "linear", {"features": width, "norm": "none"})
    return nas.Architecture.chain([hidden, ("head", "classify", {})])


def module_space(trial: optuna.Trial) -> nn.Module:
    width = trial.suggest_int("width", 1, 20)
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 2))


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    Metered.seen.clear()
    monkeypatch.setattr(Metered, "scale", 0.1)


@pytest.fixture
def search() -> nas.Search:
    return nas.Search(
        name="moved",
        space=space,
        data=nas.datasets.ArrayDataModule(X, Y, batch_size=64),
        objectives=["accuracy", Metered(max=10.0)],
        fidelity=nas.Budget(1),
        sampler="random",
        samples=0,
    )


@pytest.fixture
def loose(search) -> nas.Search:
    """The same without a cap."""
    return replace(search, objectives=["accuracy", Metered()], pruner="none")


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/s.db"


def moved(search: nas.Search, url: str, trials: int = 12) -> optuna.Study:
    """A study as it comes from another device, ten times as slow as this one."""
    study = search.run(trials=trials, storage=url)
    study.set_user_attr("device", OLD)
    Metered.scale = 0.01
    Metered.seen.clear()
    search.prepared.clear()
    return study


def contents(study: optuna.Study) -> list[tuple[object, ...]]:
    return [
        (t.number, t.state, t.values, t.params, t.user_attrs, t.system_attrs, t.datetime_complete)
        for t in study.trials
    ]


def load(name: str, url: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=url)


# The front, measured again


def trained(study: optuna.Study) -> list[int]:
    """Three networks of different sizes."""
    chosen = {t.values[1]: t.number for t in study.trials if t.values}
    assert len(chosen) >= 3
    return list(chosen.values())[:3]


def test_a_front_measured_again_is_measured_round_by_round(loose, url) -> None:
    study = loose.run(trials=10, storage=url)
    before = contents(study)
    numbers = trained(study)
    told: list[tuple[int, int]] = []
    Metered.seen.clear()
    found = remeasure(loose, study, numbers, 3, lambda done, of: told.append((done, of)))
    count = len(numbers)
    assert told == [(done, 3 * count) for done in range(1, 3 * count + 1)]
    assert Metered.seen[:count] == Metered.seen[count : 2 * count] == Metered.seen[-count:]
    (metered,) = found["objectives"]
    assert [member["number"] for member in metered["members"]] == numbers
    for member in metered["members"]:
        assert member["before"] == member["after"] == study.trials[member["number"]].values[1]
        assert member["spread_before"] > 0 == member["spread_after"]
    assert metered["tau"] == 1.0 and metered["swapped"] == [] and metered["backend"] == "abacus"
    assert contents(study) == before
    assert load("moved", url).user_attrs["remeasured"] == json.loads(json.dumps(found))


def test_pairs_that_change_places_are_counted(loose, url, monkeypatch) -> None:
    study = loose.run(trials=10, storage=url)
    numbers = trained(study)
    values = dict(zip(numbers, (3.0, 2.0, 1.0), strict=True))
    stored = {n: study.trials[n].user_attrs["measurements"]["metered"]["value"] for n in numbers}

    def slower_when_smaller(self: Metered, candidate: Candidate) -> Measurement:
        size = 0.1 * sum(p.numel() for p in candidate.network.parameters())
        return Measurement(values[next(n for n in numbers if stored[n] == pytest.approx(size))])

    monkeypatch.setattr(Metered, "__call__", slower_when_smaller)
    (metered,) = remeasure(loose, study, numbers, 1)["objectives"]
    orders = [
        np.sign(stored[a] - stored[b]) * np.sign(values[a] - values[b])
        for a, b in ((numbers[0], numbers[1]), (numbers[0], numbers[2]), (numbers[1], numbers[2]))
    ]
    assert metered["tau"] == pytest.approx(sum(orders) / 3)
    assert len(metered["swapped"]) == orders.count(-1)


def test_refused_measurements_leave_the_others(loose, url, monkeypatch) -> None:
    study = loose.run(trials=10, storage=url)
    numbers = trained(study)
    measure, calls = Metered.__call__, iter(range(100))

    def refusing(self: Metered, candidate: Candidate) -> Measurement:
        if next(calls) < len(numbers):
            raise MeasurementError("disturbed")
        return measure(self, candidate)

    monkeypatch.setattr(Metered, "__call__", refusing)
    (metered,) = remeasure(loose, study, numbers, 2)["objectives"]
    for member in metered["members"]:
        assert member["values"][0] is None and member["values"][1] == member["after"]
    calls = iter(range(2))  # the first two, in both rounds
    (metered,) = remeasure(loose, study, numbers[:2], 1)["objectives"]
    assert [member["after"] for member in metered["members"]] == [None, None]
    assert metered["tau"] is None and metered["swapped"] == []


def test_what_cannot_be_measured_again_is_named(search, url) -> None:
    study = replace(search, objectives=["accuracy", "parameters"]).run(trials=2, storage=url)
    with pytest.raises(DescriptionError, match="such as Latency, got parameters, accuracy"):
        remeasure(replace(search, objectives=["accuracy", "parameters"]), study, [0])
    for numbers, rounds in ([], 5), ([0], 0):
        with pytest.raises(DescriptionError, match="at least one round and one trial"):
            remeasure(search, study, numbers, rounds)


@pytest.mark.parametrize("drawn", [space, module_space])
def test_a_network_is_rebuilt_from_storage_with_its_first_weights(
    loose, url, drawn, monkeypatch
) -> None:
    first: list[float] = []
    measure = Metered.__call__

    def weights(candidate: Candidate) -> float:
        return sum(float(p.detach().double().sum()) for p in candidate.network.parameters())

    def weighing(self: Metered, candidate: Candidate) -> Measurement:
        first.append(weights(candidate))
        return measure(self, candidate)

    monkeypatch.setattr(Metered, "__call__", weighing)
    search = replace(loose, space=drawn)
    trials = search.run(3, url).trials
    assert [weights(rebuilt(search, trial, {})) for trial in trials] == first
    assert len(set(first)) == 3


# A study on another device


def test_another_device_is_refused_unless_told_to_measure_anew(search, url) -> None:
    moved(search, url)
    with pytest.raises(StudyError, match="--remeasure"):
        search.run(trials=1, storage=url)
    study = search.run(trials=1, storage=url, remeasure=True)
    assert len(study.trials) >= 13
    assert not search.run(trials=0, storage=url, remeasure=True).user_attrs["device"] == OLD


def test_every_trial_has_values_of_this_device_and_all_else_as_it_was(search, url) -> None:
    loose = replace(search, objectives=["accuracy", Metered()], fidelity=nas.Budget((1, 3)))
    study = moved(loose, url)
    before, attrs = contents(study), dict(study.user_attrs)
    after = loose.study(url, remeasure=True)
    kept = load(after.user_attrs["archive"], url)
    assert contents(kept) == before
    assert kept.user_attrs == attrs | {"archived": True}
    assert kept.metric_names == after.metric_names == ["accuracy (fraction)", "metered (ms)"]
    assert kept.study_name.startswith("moved@")
    assert set(optuna.get_all_study_names(url)) == {"moved", kept.study_name}
    assert len({o["digest"] for o in (t.user_attrs for t in after.trials)}) == len(Metered.seen)
    for old, new in zip(kept.trials, after.trials, strict=True):
        assert (old.number, old.state, old.params) == (new.number, new.state, new.params)
        assert (old.distributions, old.datetime_start) == (new.distributions, new.datetime_start)
        assert old.datetime_complete == new.datetime_complete
        mine, theirs = new.user_attrs["measurements"], old.user_attrs["measurements"]
        assert mine["metered"]["value"] == pytest.approx(theirs["metered"]["value"] / 10)
        rest = {"metered": None}
        assert {**mine, **rest} == {**theirs, **rest}
        assert {**new.user_attrs, "measurements": 0} == {**old.user_attrs, "measurements": 0}
        if old.values:
            assert new.values == [old.values[0], mine["metered"]["value"]]
        assert new.system_attrs.keys() == old.system_attrs.keys()
        for key, vector in old.system_attrs.items():
            if isinstance(vector, list):
                assert new.system_attrs[key] == [vector[0], mine["metered"]["value"]]
            elif key != "nas:lease":
                assert new.system_attrs[key] == vector
    assert after.user_attrs["calibrations"] == {"metered": {"scale": 0.01}}


def test_caps_are_judged_anew(search, url) -> None:
    """What the slow device rejected is taken up again where the fast one keeps the cap."""
    study = moved(search, url)
    rejected = [t.number for t in study.trials if t.user_attrs["outcome"] == "rejected"]
    assert rejected
    after = search.run(trials=len(rejected), storage=url, remeasure=True)
    for trial in after.trials[:12]:
        value = trial.user_attrs["measurements"]["metered"]["value"]
        assert trial.constraints == {"metered": pytest.approx(value / 10 - 1)}
        assert trial.constraints["metered"] <= 0
    continued = {t.user_attrs.get("continues") for t in after.trials[12:]}
    assert continued == set(rejected)
    assert {t.user_attrs["outcome"] for t in after.trials[12:]} <= {"trained", "pruned", "reused"}


def test_what_breaks_a_cap_here_is_infeasible_here(search, url) -> None:
    moved(search, url)
    Metered.scale = 1.0
    after = search.study(url, remeasure=True)
    assert all(trial.constraints["metered"] > 0 for trial in after.trials)
    assert front(after) == []
    assert {t.state for t in after.trials} == {TrialState.COMPLETE, TrialState.PRUNED}


def test_spaces_of_modules_are_drawn_again(loose, url) -> None:
    modules = replace(loose, space=module_space)
    study = moved(modules, url, 4)
    before = [t.user_attrs["measurements"]["metered"]["value"] for t in study.trials]
    after = modules.study(url, remeasure=True)
    here = [t.user_attrs["measurements"]["metered"]["value"] for t in after.trials]
    assert here == pytest.approx([value / 10 for value in before])


@dataclass(frozen=True, kw_only=True)
class Fragile(Metered):
    """Cannot measure networks of more than 100 parameters, on the second device."""

    def __call__(self, candidate: Candidate) -> Measurement:
        measured = super().__call__(candidate)
        if Metered.scale < 0.1 and measured.value > 1.0:
            raise MeasurementError("out of memory")
        return measured


def test_what_cannot_be_measured_here_fails_with_the_reason(search, url) -> None:
    fragile = replace(search, objectives=["accuracy", Fragile(max=1e3)])
    moved(fragile, url)
    after = fragile.study(url, remeasure=True)
    for trial in after.trials:
        large = trial.user_attrs["measurements"]["parameters"]["value"] > 100
        assert (trial.state == TrialState.FAIL) == large
        assert ("metered" in trial.user_attrs["measurements"]) != large
        assert ("metered" in trial.constraints) != large
        if large:
            assert trial.user_attrs["ended"] == "MeasurementError: out of memory"
    assert {record.outcome for record in records(after)} >= {"failed"}


def test_a_failed_trial_keeps_no_value_of_the_other_device(loose, url) -> None:
    fragile = replace(loose, objectives=["accuracy", Fragile()], pruner="hyperband")
    study = moved(fragile, url)
    before = [t.system_attrs for t in study.trials]
    after = fragile.study(url, remeasure=True)
    failed = [t for t in after.trials if t.state == TrialState.FAIL]
    assert failed and any(t.state != TrialState.FAIL for t in after.trials)
    for trial in failed:
        assert not any(key.startswith("completed_rung_") for key in trial.system_attrs)
        for key, vector in before[trial.number].items():
            if key.startswith("nas:step:"):
                assert trial.system_attrs[key] == [vector[0], None]


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, when: Callable[[int], bool]) -> Iterator[list[int]]:
    """A device that refuses some measurements, by their number from 1."""
    measure, calls = Metered.__call__, []

    def disturbed(self: Metered, candidate: Candidate) -> Measurement:
        calls.append(len(calls) + 1)
        if when(calls[-1]):
            raise MeasurementError("disturbed")
        return measure(self, candidate)

    with monkeypatch.context() as patched:
        patched.setattr(Metered, "__call__", disturbed)
        yield calls


def test_a_refused_measurement_is_tried_again(loose, url, monkeypatch) -> None:
    moved(loose, url, 4)
    with refusing(monkeypatch, lambda call: call in (1, 2, 3, 4)):
        after = loose.study(url, remeasure=True)
    assert {t.state for t in after.trials} == {TrialState.COMPLETE}


@pytest.mark.parametrize("measured_before", [0, 2])
def test_a_disturbed_machine_fails_no_trial_and_the_same_command_goes_on(
    loose, url, monkeypatch, measured_before
) -> None:
    study = moved(loose, url, 6)
    before = contents(study)
    told = r"trial \d could not be measured here in 3 .* the cause is this machine: disturbed; end"
    with (
        refusing(monkeypatch, lambda call: call > measured_before),
        pytest.raises(MeasurementError, match=told),
    ):
        loose.study(url, remeasure=True)
    assert contents(load("moved", url)) == before
    staged = load("moved@remeasuring", url).trials
    assert len(staged) >= measured_before
    assert {t.state for t in staged} <= {TrialState.COMPLETE}
    after = loose.study(url, remeasure=True)
    assert [t.values[1] for t in after.trials] == pytest.approx([b[2][1] / 10 for b in before])
    assert {t.state for t in after.trials} == {TrialState.COMPLETE}


@pytest.mark.parametrize("pruner", ["none", "hyperband"])
def test_a_study_of_one_objective_has_its_curve_measured_anew(search, url, pruner) -> None:
    single = replace(
        search,
        objectives=[Metered()],
        constraints=["accuracy"],
        fidelity=nas.Budget((1, 3)),
        pruner=pruner,
    )
    moved(single, url, 6)
    after = single.study(url, remeasure=True)
    before = load(after.user_attrs["archive"], url)
    for old, new in zip(before.trials, after.trials, strict=True):
        value = new.user_attrs["measurements"]["metered"]["value"]
        assert value == pytest.approx(old.user_attrs["measurements"]["metered"]["value"] / 10)
        assert new.intermediate_values == dict.fromkeys(old.intermediate_values, value)
        rungs = [v for k, v in new.system_attrs.items() if k.startswith("completed_rung_")]
        assert set(rungs) <= {value}
        assert new.values == [value] or new.state == TrialState.PRUNED
    assert any(t.intermediate_values for t in after.trials)


def test_two_processes_never_mix_what_they_measured(loose, url, monkeypatch) -> None:
    study = moved(loose, url, 4)
    measure = Metered.__call__

    def beside(self: Metered, candidate: Candidate) -> Measurement:
        if len(Metered.seen) == 2:  # another host adds the trial that is being measured here
            load("moved@remeasuring", url).add_trial(study.trials[2])
        return measure(self, candidate)

    with monkeypatch.context() as patched:
        patched.setattr(Metered, "__call__", beside)
        with pytest.raises(StudyError, match=r"to have 2 trials, got 3: another process"):
            loose.study(url, remeasure=True)
    assert "complete" not in load("moved@remeasuring", url).user_attrs["remeasuring"]


def test_what_is_no_copy_of_the_study_is_begun_anew(loose, url, monkeypatch) -> None:
    study = moved(loose, url, 4)
    with refusing(monkeypatch, lambda call: call > 2), pytest.raises(MeasurementError):
        loose.study(url, remeasure=True)
    before = [t.params for t in study.trials]
    load("moved@remeasuring", url).add_trial(study.trials[0])
    after = loose.study(url, remeasure=True)
    assert [t.params for t in after.trials] == before


def test_trials_that_come_meanwhile_are_not_lost(loose, url, monkeypatch) -> None:
    study = moved(loose, url, 4)
    measure = Metered.__call__

    def beside(self: Metered, candidate: Candidate) -> Measurement:
        if len(Metered.seen) == 2:
            load("moved", url).add_trial(study.trials[0])
        return measure(self, candidate)

    with monkeypatch.context() as patched:
        patched.setattr(Metered, "__call__", beside)
        with pytest.raises(StudyError, match=r"'moved' to have 4 trials, got 5"):
            loose.study(url, remeasure=True)
    assert len(loose.study(url, remeasure=True).trials) == 5


def test_back_on_the_first_device_the_study_goes_on(loose, url, monkeypatch) -> None:
    study = moved(loose, url, 4)
    with refusing(monkeypatch, lambda call: call > 2), pytest.raises(MeasurementError):
        loose.study(url, remeasure=True)
    study.set_user_attr("device", fingerprint())  # as it is there
    with pytest.raises(StudyError, match="--remeasure"):
        loose.run(trials=1, storage=url)
    after = loose.run(trials=1, storage=url, remeasure=True)
    assert len(after.trials) == 5
    assert optuna.get_all_study_names(url) == ["moved"]


def test_progress_is_told(loose, url) -> None:
    moved(loose, url, 3)
    told: list[tuple[int, int]] = []
    loose.study(url, remeasure=True, progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_there_and_back_again_keeps_every_study(search, url) -> None:
    first = search.study(url)
    for count in range(3):
        search.prepared.clear()
        load("moved", url).set_user_attr("device", OLD)
        study = search.study(url, remeasure=True)
        assert len(optuna.get_all_study_names(url)) == count + 2
    assert study.user_attrs["archive"].endswith("-3")
    assert first.study_name == study.study_name


def test_a_new_study_and_one_of_this_device_are_left_alone(search, url) -> None:
    study = search.run(trials=2, storage=url, remeasure=True)
    before = contents(study)
    assert contents(search.study(url, remeasure=True)) == before
    assert optuna.get_all_study_names(url) == ["moved"]


def test_a_changed_search_or_a_running_one_is_refused(search, url) -> None:
    study = moved(search, url, 3)
    with pytest.raises(StudyError, match="seed: 0 -> 1"):
        replace(search, seed=1).study(url, remeasure=True)
    study.ask()
    with pytest.raises(StudyError, match="end the other workers"):
        search.study(url, remeasure=True)
    assert optuna.get_all_study_names(url) == ["moved"]


class Killed(BaseException):
    """What a kill looks like from inside."""


CHANGES = (
    "create_new_study",
    "delete_study",
    "create_new_trial",
    "set_study_user_attr",
    "set_study_system_attr",
)
"""Every way in which the storage is changed."""


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, storage: object, count: int) -> Iterator[None]:
    """Die at the storage's `count`-th change."""
    left = count
    with monkeypatch.context() as patched:
        for name in CHANGES:
            change = getattr(storage, name)

            def dying(*args: object, change=change, **options: object) -> object:
                nonlocal left
                left -= 1
                if left == 0:
                    raise Killed
                return change(*args, **options)

            patched.setattr(storage, name, dying)
        yield


def test_a_kill_at_any_change_loses_nothing_and_the_command_finishes(loose, monkeypatch) -> None:
    original = optuna.storages.InMemoryStorage()
    study = moved(loose, original, 4)
    before = contents(study)
    kills, finished = 0, False
    while not finished:
        kills += 1
        storage = optuna.storages.InMemoryStorage()
        optuna.copy_study(from_study_name="moved", from_storage=original, to_storage=storage)
        loose.prepared.clear()
        with killed_at(monkeypatch, storage, kills), suppress(Killed):
            loose.study(storage, remeasure=True)
            finished = True
        names = optuna.get_all_study_names(storage)
        # At every moment one study holds all trials with their old values.
        whole = [n for n in names if contents(load(n, storage)) == before]
        assert whole or finished, (kills, names)
        if not finished and "moved@remeasuring" in names:
            with pytest.raises(StudyError, match="--remeasure"):
                replace(loose).run(trials=1, storage=storage)
        Metered.seen.clear()
        after = replace(loose).study(storage, remeasure=True)
        kept = load(after.user_attrs["archive"], storage)
        assert contents(kept) == before
        assert [t.values for t in after.trials if t.values] == [
            [t.values[0], pytest.approx(t.values[1] / 10)] for t in kept.trials if t.values
        ]
        assert sorted(optuna.get_all_study_names(storage)) == ["moved", kept.study_name]
    assert kills > 20
