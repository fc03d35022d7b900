"""What every sampler that proposes whole networks promises."""

import copy
import pickle

import numpy as np
import optuna
import pytest
from conditional import space
from optuna.study import StudyDirection
from optuna.trial import TrialState

import optuna_nas as nas
from optuna_nas.architecture import INPUT, Architecture, Node
from optuna_nas.exceptions import DescriptionError, SpaceError
from optuna_nas.samplers import LocalSearch, RegularizedEvolution, Reinforce
from optuna_nas.samplers.history import history
from optuna_nas.samplers.proposing import front, level

SAMPLERS = {
    "regularized-evolution": lambda space=None, seed=0: RegularizedEvolution(
        space, population_size=20, sample_size=10, startup=4, seed=seed
    ),
    "local-search": lambda space=None, seed=0: LocalSearch(space, startup=4, seed=seed),
    "reinforce": lambda space=None, seed=0: Reinforce(space, seed=seed),
}
MINIMIZE = [StudyDirection.MINIMIZE] * 2


@pytest.fixture(params=SAMPLERS)
def sampler(request):
    return SAMPLERS[request.param]


def cells(trial):
    """Two branches that are added, so that (a, b) and (b, a) are one cell: 10 of 16."""
    names = ["none", "conv1", "conv3", "pool"]
    branches = []
    for place in "ab":
        kind = trial.suggest_categorical(place, names)
        branches.append(Node(place, kind, {}, (INPUT,)))
    return Architecture((*branches, Node("sum", "add", {}, ("a", "b"))))


def create(sampler, storage=None, pruner=None):
    study = optuna.create_study(
        study_name="s",
        directions=["minimize", "minimize"],
        sampler=sampler,
        pruner=pruner or optuna.pruners.NopPruner(),
        storage=storage,
        load_if_exists=True,
    )
    if study.metric_names is None:
        study.set_metric_names(["error", "cost"])
    return study


def drawn(study):
    return [trial.params for trial in study.trials]


def test_isomorphic_cells_are_proposed_once_until_there_are_no_more(sampler):
    study = create(sampler(cells))
    digests = []
    for i in range(10):
        trial = study.ask()
        digests.append(cells(trial).digest)
        study.tell(trial, [i, -i])
    assert len(set(digests)) == 10
    cells(study.ask())  # nothing new is left, which is no error


def test_running_networks_are_not_proposed_again(sampler):
    study = create(sampler(cells))
    trials = [study.ask() for _ in range(3)]
    digests = [cells(trial).digest for trial in trials]
    study.tell(trials[1], [1, 1])
    digests += [cells(study.ask()).digest for _ in range(7)]
    assert len(set(digests)) == 10


def late(sampler, objective, trials=50):
    """Mean of error and scaled cost over what is proposed last, three studies."""
    found = []
    for seed in range(3):
        study = create(sampler(seed))
        study.optimize(objective, n_trials=trials)
        found += [point for t in study.trials[trials // 2 :] for point in worth(t)]
    return np.mean(found)


def worth(trial):
    error, cost = space(optuna.trial.FixedTrial(trial.params))
    return error, cost / 256


def by_chance(seed):
    return optuna.samplers.RandomSampler(seed=seed)


def stops(trial):
    """Everything is pruned at its first rung."""
    error, cost = space(trial)
    nas.report(trial, 1, {"error": error, "cost": cost})
    raise optuna.TrialPruned


@pytest.mark.parametrize("objective", [space, stops], ids=["trained", "pruned"])
@pytest.mark.parametrize("given", [space, None], ids=["space", "no space"])
def test_what_it_proposes_gets_better_than_chance(sampler, given, objective):
    assert late(lambda s: sampler(given, s), objective) < 0.97 * late(by_chance, objective)


def rough(trial):
    """Rejects what costs much, prunes every third, and fails every fifth."""
    error, cost = space(trial)
    if trial.number % 5 == 2:
        raise ValueError("a trial that fails")
    trial.set_constraint("cost", cost - 100)
    if cost > 100:
        raise optuna.TrialPruned
    for step in (1, 4):
        diverged = trial.number % 7 == 3
        nas.report(trial, step, {"error": float("nan") if diverged else error, "cost": cost})
        if trial.number % 3 == 0 and step == 1:
            raise optuna.TrialPruned
    return error, cost


@pytest.mark.parametrize("given", [space, None], ids=["space", "no space"])
def test_a_seed_and_the_storage_decide_every_choice(sampler, given):
    whole = create(sampler(given, 3))
    whole.optimize(rough, n_trials=24, catch=ValueError)
    storage = optuna.storages.InMemoryStorage()
    for count in (9, 15):
        part = create(sampler(given, 3), storage)
        part.optimize(rough, n_trials=count, catch=ValueError)
    assert drawn(whole) == drawn(part)
    other = create(sampler(given, 4))
    other.optimize(rough, n_trials=24, catch=ValueError)
    assert drawn(other) != drawn(whole)


def test_a_sampler_that_saw_trials_end_late_proposes_as_one_that_begins_now(sampler):
    def then(begun_anew):
        study = create(sampler(space, 1))
        study.optimize(space, n_trials=12)
        slow, fast = study.ask(), study.ask()
        for trial in (slow, fast):
            trial.set_user_attr("values", space(trial))
        study.tell(fast, fast.user_attrs["values"])
        space(study.ask())
        study.tell(slow, slow.user_attrs["values"])
        if begun_anew:
            study.sampler = sampler(space, 1)
        space(study.ask())
        return drawn(study)

    assert then(begun_anew=True) == then(begun_anew=False)


def test_what_breaks_a_cap_is_avoided(sampler):
    def capped(trial):
        error, cost = space(trial)
        trial.set_constraint("cost", cost - 40)
        if cost > 40:
            raise optuna.TrialPruned
        return error, cost

    def rejected(sampler):
        study = create(sampler)
        study.optimize(capped, n_trials=40)
        return sum(t.state == TrialState.PRUNED for t in study.trials[20:])

    chance = sum(rejected(by_chance(seed)) for seed in range(3))
    assert sum(rejected(sampler(space, seed)) for seed in range(3)) < 0.8 * chance


def test_a_study_that_tells_nothing_goes_on(sampler):
    def hopeless(trial):
        space(trial)
        raise optuna.TrialPruned

    study = create(sampler(space))
    study.optimize(hopeless, n_trials=8)
    study.optimize(space, n_trials=8)
    assert len({str(params) for params in drawn(study)}) == 16


def test_enqueued_trials_are_left_as_they_are(sampler):
    study = create(sampler(space))
    study.optimize(space, n_trials=6)
    wanted = {"depth": 1, "operator0": "pool", "pool0.size": 2.0}
    study.enqueue_trial(wanted)
    study.enqueue_trial({"depth": 2})
    study.optimize(space, n_trials=4)
    assert study.trials[6].params == wanted
    assert study.trials[7].params["depth"] == 2


def test_one_sampler_serves_two_storages(sampler):
    shared = sampler(space)
    studies = [create(shared), create(shared)]
    for _ in range(8):
        for study in studies:
            study.optimize(space, n_trials=1)
    assert drawn(studies[0]) == drawn(studies[1])


def test_it_can_be_copied_and_pickled(sampler):
    study = create(sampler(space))
    study.optimize(space, n_trials=5)
    following = []
    for other in (
        study.sampler,
        copy.deepcopy(study.sampler),
        pickle.loads(pickle.dumps(study.sampler)),
    ):
        again = create(other)
        again.optimize(space, n_trials=6)
        following.append(drawn(again))
    assert following[0] == following[1] == following[2]


def test_a_study_made_anew_is_known_to_be_another(sampler):
    storage = optuna.storages.InMemoryStorage()
    shared = sampler(cells)
    for _ in range(2):
        study = create(shared, storage)
        digests = set()
        for i in range(10):
            trial = study.ask()
            digests.add(cells(trial).digest)
            study.tell(trial, [i, i])
        assert len(digests) == 10
        optuna.delete_study(study_name="s", storage=storage)


def test_a_space_that_cannot_be_run_outside_a_study_says_so(sampler):
    with pytest.raises(SpaceError, match="outside a study"):
        create(sampler(lambda trial: trial.study.study_name)).ask()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RegularizedEvolution(population_size=1), "population_size"),
        (lambda: RegularizedEvolution(sample_size=0), "sample_size"),
        (lambda: RegularizedEvolution(startup=True), "startup"),
        (lambda: LocalSearch(startup=0), "startup"),
        (lambda: LocalSearch(space=3), "callable space"),
        (lambda: Reinforce(learning_rate=0), "learning_rate"),
        (lambda: Reinforce(baseline=0.5), "baseline"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(DescriptionError, match=message):
        make()


def networks(*trials):
    study = optuna.create_study(directions=["minimize", "minimize"])
    for trial in trials:
        study.add_trial(trial)
    return list(history(study.trials, MINIMIZE).values())


def stopped(step, values, violation=None):
    return optuna.create_trial(
        state=TrialState.PRUNED,
        system_attrs={f"nas:step:{step}": values},
        constraints=None if violation is None else {"cap": violation},
    )


def test_values_of_different_rungs_are_never_compared():
    first, further, best = stopped(1, [0.1, 0.1]), stopped(4, [0.5, 0.5]), stopped(4, [0.4, 0.6])
    found = networks(first, further, best)
    assert [n.number for n in front(found)] == [1, 2]
    whole = networks(first, further, best, optuna.create_trial(values=[0.9, 0.9]))
    assert [n.number for n in front(whole)] == [3]


def test_a_broken_constraint_comes_last_by_its_violation():
    found = networks(stopped(9, [0, 0], 0.5), stopped(9, [0, 0], 0.2), stopped(1, [9, 9], -1.0))
    assert [n.number for n in front(found)] == [2]
    assert sorted(map(level, found)) == [(1, -1), (2, 0.2), (2, 0.5)]
    assert [n.number for n in front(found[:2])] == [1]
