import math

import numpy as np
import optuna
import pytest
from histories import candidates
from optuna.storages import RDBStorage
from optuna.trial import TrialState

import optuna_nas as nas
from optuna_nas.bench.pruner import halve
from optuna_nas.exceptions import DescriptionError
from optuna_nas.pareto import hypervolume
from optuna_nas.pruners import LearningCurve, by_name, report, should_prune

EPOCHS = 20


def rises(end, pace=4.0, noise=0.0, seed=0):
    """Accuracies that rise from 0.1 to an end."""
    moved = 1 - np.exp(-np.arange(1, EPOCHS + 1) / pace)
    return 0.1 + (end - 0.1) * moved + np.random.default_rng(seed).normal(0, noise, EPOCHS)


def study_of(pruner, cost=False, storage=None):
    directions = ["maximize", "minimize"] if cost else ["maximize"]
    return optuna.create_study(directions=directions, pruner=pruner, storage=storage)


def train(study, accuracies, cost=None, continues=None, start=1, stride=1, break_cap=False):
    """The step at which a trial was stopped, or None."""
    trial = study.ask()
    if continues is not None:
        trial.set_user_attr("continues", continues)
    if break_cap:
        trial.set_constraint("cap", 1.0)
    for step, accuracy in enumerate(accuracies, start=1):
        if step < start or step % stride:
            continue
        values = {"accuracy": accuracy} | ({} if cost is None else {"cost": cost})
        report(trial, step, values)
        if should_prune(trial):
            study.tell(trial, state=TrialState.PRUNED)
            return step
    study.tell(trial, list(values.values()))
    return None


def begun(pruner, cost=None, storage=None, ends=(0.5, 0.6, 0.7, 0.8, 0.85, 0.9)):
    """A study with complete trials, the last the best; they cost from 5 on."""
    study = study_of(pruner, cost is not None, storage)
    for number, end in enumerate(sorted(ends)):
        own = None if cost is None else cost + number
        assert train(study, rises(end, noise=0.005, seed=number), own) is None
    return study


def patient(**arguments):
    return LearningCurve(startup=6, **arguments)


def test_with_one_objective_what_cannot_win_is_stopped_early_and_the_best_is_not():
    study = begun(patient())
    stopped = train(study, rises(0.3))
    assert stopped is not None and stopped <= EPOCHS // 2
    assert train(study, rises(0.95)) is None


def test_directions_mirror_each_other():
    up, down = begun(patient()), optuna.create_study(direction="minimize", pruner=patient())
    for number, end in enumerate((0.5, 0.6, 0.7, 0.8, 0.85, 0.9)):
        assert train(down, -rises(end, noise=0.005, seed=number)) is None
    for end in (0.3, 0.55, 0.7, 0.88, 0.95):
        assert train(up, rises(end)) == train(down, -rises(end))


def test_what_costs_least_goes_on_and_what_is_dominated_does_not():
    assert train(begun(patient(), cost=5.0), rises(0.75), cost=1.0) is None
    stopped = train(begun(patient(), cost=5.0), rises(0.6), cost=9.5)
    assert stopped is not None and stopped <= EPOCHS // 2


def test_only_known_objectives_are_compared_as_they_are():
    study = study_of(LearningCurve(startup=2), cost=True)
    for cost in (5.0, 4.0):
        assert train(study, [0.5] * EPOCHS, cost) is None
    assert train(study, [0.5] * EPOCHS, 4.5) == 1
    assert train(study, [0.5] * EPOCHS, 4.0) is None


@pytest.mark.parametrize("cost", [None, 5.0])
def test_nothing_is_stopped_before_the_warmup_or_while_few_are_complete(cost):
    hopeless = np.full(EPOCHS, 0.1)
    assert train(begun(patient(warmup=7), cost), hopeless, cost and 99.0) == 7
    assert train(begun(LearningCurve(startup=7)), hopeless) is None


def test_a_greater_threshold_stops_earlier():
    def stopped(threshold):
        return train(begun(patient(threshold=threshold)), rises(0.84)) or EPOCHS + 1

    steps = [stopped(threshold) for threshold in (0.001, 0.05, 0.5)]
    assert steps == sorted(steps, reverse=True) and steps[0] > steps[-1]


def test_among_says_how_many_places_there_are():
    assert train(begun(patient()), rises(0.65)) is not None
    assert train(begun(patient(among=6)), rises(0.65)) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_ends_a_trial(value):
    assert train(study_of(LearningCurve(warmup=2), cost=True), [value] * EPOCHS, 1.0) == 2


def test_steps_that_were_not_finite_are_left_out():
    study = begun(patient(warmup=5))
    assert train(study, [math.nan, *rises(0.95)[1:]]) is None
    assert train(study, [math.nan, *rises(0.3)[1:]]) is not None


def test_trials_may_report_at_other_steps():
    study = begun(patient())
    for stride in (3, 7):
        assert train(study, rises(0.93 + stride / 100), stride=stride) is None
    assert train(study, rises(0.3), stride=5) == 5


def test_a_trial_that_goes_on_longer_than_any_is_still_judged():
    study = begun(patient(warmup=EPOCHS + 1))
    assert train(study, [*rises(0.4), *[0.4] * 9]) == EPOCHS + 1
    assert train(study, [*rises(0.95), *[0.95] * 9]) is None


def test_what_breaks_a_constraint_teaches_but_is_no_rival():
    study = begun(patient(), ends=(0.3, 0.35, 0.4, 0.45, 0.5))
    assert train(study, rises(0.99), break_cap=True) is None
    assert train(study, rises(0.7)) is None


def test_a_network_taken_up_again_is_judged_by_all_of_its_curve():
    paused = begun(patient())
    trial = paused.ask()
    for step, accuracy in enumerate(rises(0.3)[:8], start=1):
        report(trial, step, {"accuracy": accuracy})
    paused.tell(trial, state=TrialState.PRUNED)
    stopped = train(paused, rises(0.3), continues=trial.number)
    assert stopped == 9  # the steps before were passed
    stopped = train(paused, rises(0.3), continues=trial.number + 1, start=10)
    assert stopped == 10


def test_a_network_is_no_rival_of_itself():
    study = begun(patient(), ends=(0.6, 0.7, 0.8, 0.85, 0.9))
    assert train(study, rises(0.3)[:10]) is None  # the sixth
    assert train(study, rises(0.3), continues=5) is None
    assert train(study, rises(0.3)) is not None


def test_each_process_decides_the_same(tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    ours = begun(patient(), cost=5.0, storage=RDBStorage(url))
    for end, cost in ((0.6, 7.5), (0.88, 7.0), (0.3, 4.0)):
        trial = ours.ask()
        for step, accuracy in enumerate(rises(end), start=1):
            report(trial, step, {"accuracy": accuracy, "cost": cost})
            fresh = optuna.load_study(
                study_name=ours.study_name, storage=RDBStorage(url), pruner=patient()
            )
            decided = should_prune(trial)
            assert should_prune(optuna.Trial(fresh, trial._trial_id)) == decided
            if decided:
                break
        values = None if decided else [accuracy, cost]
        ours.tell(trial, values, TrialState.PRUNED if decided else TrialState.COMPLETE)


def test_the_order_in_which_trials_end_does_not_matter():
    decided = []
    for order in ((0, 1, 2, 3, 4, 5), (5, 2, 4, 0, 3, 1)):
        study = study_of(patient())
        trials = [study.ask() for _ in order]
        for number in order:
            for step, accuracy in enumerate(rises(0.5 + number / 20, pace=3 + number), start=1):
                report(trials[number], step, {"accuracy": accuracy})
                should_prune(trials[number])
            study.tell(trials[number], accuracy)
        decided.append([train(study, rises(end)) for end in (0.4, 0.6, 0.74, 0.78)])
    assert decided[0] == decided[1]


def test_a_deleted_study_is_forgotten_even_where_its_id_is_used_again(tmp_path):
    storage = RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")
    ids = []
    for ends, stopped in (((0.8,) * 6, True), ((0.2,) * 6, False)):
        study = begun(patient(), storage=storage, ends=ends)
        ids.append(study._study_id)
        assert (train(study, rises(0.5)) is not None) == stopped
        optuna.delete_study(study_name=study.study_name, storage=storage)
    assert ids[0] == ids[1]


def test_tiny_useless_networks_do_not_live_for_ever():
    accuracy, latency, order = candidates(seed=0)
    survivors, _ = halve(accuracy, latency, LearningCurve(warmup=3), order, blind=False)
    assert sum(candidate < 50 for candidate in survivors) <= 3


@pytest.mark.parametrize(
    "arguments",
    [
        {"warmup": -1},
        {"warmup": 1.5},
        {"startup": 0},
        {"among": 0},
        {"threshold": 0.0},
        {"threshold": 1.0},
        {"threshold": "low"},
    ],
)
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(DescriptionError, match=r"expected .* got"):
        LearningCurve(**arguments)


def test_a_search_knows_it_by_name(tmp_path):
    assert isinstance(by_name("learning-curve", 2, 9), LearningCurve)
    search = nas.Search(
        name="extrapolated",
        space=nas.spaces.MLP(layers=(1, 2), widths=(4, 64)),
        data=nas.datasets.Digits(),
        objectives=["accuracy", "parameters"],
        fidelity=nas.Budget(epochs=(1, 3)),
        pruner="learning-curve",
    )
    study = search.run(trials=2, storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}


def test_almost_all_of_a_real_front_survives_a_third_of_the_epochs(real):
    accuracy, latency = real
    points = np.column_stack([-accuracy[:, -1], latency])
    worst = points.max(axis=0).tolist()
    order = np.random.default_rng(0).permutation(len(latency)).tolist()
    survivors, epochs = halve(accuracy, latency, LearningCurve(warmup=12), order, blind=False)
    assert hypervolume(points[survivors], worst) >= 0.995 * hypervolume(points, worst)
    assert epochs <= 0.33 * accuracy.size
