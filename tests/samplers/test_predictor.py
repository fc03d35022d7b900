import copy
import pickle

import numpy as np
import optuna
import pytest
import torch
from conditional import space
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)
from optuna.trial import TrialState

import optuna_nas as nas
from optuna_nas.architecture import INPUT, Architecture, Node
from optuna_nas.exceptions import DescriptionError, SpaceError
from optuna_nas.pruners import FreezeThaw
from optuna_nas.samplers import Predictor

PRUNED = TrialState.PRUNED
KNOWN = {"cost": lambda drawn: drawn[1]}


class TestConformance(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    @pytest.fixture
    def sampler(self):
        return lambda: Predictor(startup=4, seed=0)


def train(trial):
    """Two epochs at most; the first says little less than the second."""
    error, cost = space(trial)
    if cost > 180:
        trial.set_constraint("cost", cost - 180)
        raise optuna.TrialPruned
    for epoch, seen in ((1, 1.5 * error + 0.1), (4, error)):
        nas.report(trial, epoch, {"error": seen, "cost": cost})
        if epoch < 4 and nas.should_prune(trial):
            raise optuna.TrialPruned
    return error, cost


def create(sampler: BaseSampler, storage=None, pruner=None):
    study = optuna.create_study(
        study_name="s",
        directions=["minimize", "minimize"],
        sampler=sampler,
        pruner=pruner or FreezeThaw([1]),
        storage=storage,
        load_if_exists=True,
    )
    if study.metric_names is None:
        study.set_metric_names(["error", "cost (units)"])
    return study


def drawn(study):
    return [(t.params, t.user_attrs.get("continues")) for t in study.trials]


@pytest.mark.parametrize("known", [KNOWN, {"cost": None}, {}])
def test_paused_networks_are_taken_up_again_and_trained_once(known):
    study = create(Predictor(space, known, startup=5, seed=1))
    study.optimize(train, n_trials=40)
    going_on = [t for t in study.trials if "continues" in t.user_attrs]
    assert going_on
    for trial in going_on:
        assert trial.state == TrialState.COMPLETE
        assert study.trials[trial.user_attrs["continues"]].params == trial.params
    continued = [t.user_attrs["continues"] for t in going_on]
    assert len(set(continued)) == len(continued)
    fresh = [frozenset(t.params.items()) for t in study.trials if "continues" not in t.user_attrs]
    assert len(set(fresh)) == len(fresh)


@pytest.mark.parametrize(("end", "start"), [(2, 5), (9, 10), (None, 10)])
def test_a_dear_start_is_short(end, start):
    study = create(Predictor(space, KNOWN, seed=1), pruner=FreezeThaw([1], end))
    study.optimize(train, n_trials=15)
    first = next(t.number for t in study.trials if "continues" in t.user_attrs)
    seen = [t for t in study.trials[:first] if "nas:step:1" in t.system_attrs]
    assert len(seen) in (start, start + 1), "at most one proposal before one is taken up again"


@pytest.mark.parametrize("telling", [True, False])
def test_networks_are_paused_where_the_rung_tells_of_the_end(telling):
    def trained(trial):
        error, cost = space(trial)
        seen = error if telling else np.random.default_rng(trial.number).random()
        nas.report(trial, 1, {"error": seen, "cost": cost})
        if nas.should_prune(trial):
            raise optuna.TrialPruned
        return error, cost

    study = create(Predictor(space, KNOWN, seed=1), pruner=FreezeThaw([1], end=9))
    study.optimize(trained, n_trials=50)
    ended = [t for t in study.trials[-20:] if t.state == TrialState.COMPLETE]
    through = [t for t in ended if "continues" not in t.user_attrs]
    assert not through if telling else len(through) > 10


def test_when_no_network_is_new_the_paused_ones_are_taken_up_again():
    def few(trial):
        width = trial.suggest_int("width", 1, 12)
        return Architecture((Node("n", "linear", {"width": width}, (INPUT,)),))

    study = create(Predictor(few, seed=0), pruner=FreezeThaw([1], end=27))
    for _ in range(24):
        trial = study.ask()
        width = few(trial).nodes[0].args["width"]
        nas.report(trial, 1, {"error": 1 / width, "cost": width})
        pruned = nas.should_prune(trial)
        study.tell(trial, None if pruned else (1 / width, width), PRUNED if pruned else None)
    ended = [t.params["width"] for t in study.trials if t.state == TrialState.COMPLETE]
    assert sorted(ended) == list(range(1, 13))


def test_it_finds_more_than_chance():
    def volume(sampler):
        study = create(sampler, pruner=optuna.pruners.NopPruner())
        study.optimize(train, n_trials=40)
        values = np.array([t.values for t in study.trials if t.state == TrialState.COMPLETE])
        return nas.pareto.hypervolume(values, (1.0, 180.0))

    chance = [volume(optuna.samplers.RandomSampler(seed=seed)) for seed in range(5)]
    found = [volume(Predictor(space, KNOWN, startup=10, seed=seed)) for seed in range(5)]
    assert np.median(found) > np.median(chance)


def test_a_seed_and_the_storage_decide_every_choice():
    whole = create(Predictor(space, KNOWN, startup=5, seed=3))
    whole.optimize(train, n_trials=16)
    storage = optuna.storages.InMemoryStorage()
    for count in (7, 9):
        part = create(Predictor(space, KNOWN, startup=5, seed=3), storage)
        part.optimize(train, n_trials=count)
    assert drawn(whole) == drawn(part)


def test_without_a_seed_it_draws_its_own():
    first, second = (create(Predictor(space, KNOWN, startup=4)) for _ in range(2))
    for study in (first, second):
        study.optimize(train, n_trials=8)
    assert drawn(first) != drawn(second)


def test_enqueued_trials_are_left_as_they_are():
    study = create(Predictor(space, KNOWN, startup=2, seed=0))
    study.optimize(train, n_trials=4)
    study.enqueue_trial({"depth": 1, "operator0": "pool", "pool0.size": 2.0})
    study.optimize(train, n_trials=1)
    assert study.trials[-1].params == {"depth": 1, "operator0": "pool", "pool0.size": 2.0}
    assert "continues" not in study.trials[-1].user_attrs


def test_failed_and_diverged_trials_do_no_harm():
    def rough(trial):
        if trial.number % 5 == 2:
            raise ValueError("a trial that fails")
        error, cost = space(trial)
        nas.report(trial, 1, {"error": float("nan") if cost > 90 else error, "cost": cost})
        if nas.should_prune(trial):
            raise optuna.TrialPruned
        return error, cost

    study = create(Predictor(space, KNOWN, startup=4, seed=0))
    study.optimize(rough, n_trials=25, catch=ValueError)
    continued = [t.user_attrs.get("continues") for t in study.trials]
    diverged = [t.number for t in study.trials if t.system_attrs.get("nas:step:1", [0])[0] is None]
    assert not set(continued) & set(diverged)


def test_a_study_in_which_everything_diverges_goes_on():
    def hopeless(trial):
        _, cost = space(trial)
        nas.report(trial, 1, {"error": float("nan"), "cost": cost})
        raise optuna.TrialPruned

    study = create(Predictor(space, KNOWN, startup=3, seed=0))
    study.optimize(hopeless, n_trials=8)
    study.optimize(train, n_trials=12)
    assert any("continues" in t.user_attrs for t in study.trials)


def test_one_sampler_serves_two_storages():
    sampler = Predictor(space, KNOWN, startup=3, seed=0)
    studies = [create(sampler), create(sampler)]
    for _ in range(8):
        for study in studies:
            study.optimize(train, n_trials=1)
    assert drawn(studies[0]) == drawn(studies[1])


def test_few_modules_are_built_for_a_proposal():
    built = []

    def modules(trial):
        built.append(trial)
        return torch.nn.Linear(trial.suggest_int("width", 1, 50), 2)

    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=Predictor(modules, startup=2, seed=0)
    )
    for _ in range(3):
        trial = study.ask()
        width = modules(trial).in_features
        study.tell(trial, [1 / width, width])
    built.clear()
    study.ask()
    assert 0 < len(built) < 100


def test_of_equal_networks_the_cheapest_form_is_trained():
    def written(trial):
        """A chain of one to four nodes, beside up to eleven that do nothing."""
        depth, dead = trial.suggest_int("depth", 1, 4), trial.suggest_int("dead", 0, 11)
        nodes = [Node(f"n{k}", "linear", {}, (f"n{k - 1}" if k else INPUT,)) for k in range(depth)]
        branch = [Node(f"dead{k}", "linear", {}, (INPUT,)) for k in range(dead)]
        return Architecture((*branch, *nodes))

    study = create(Predictor(written, {"cost": lambda drawn: len(drawn.nodes)}, startup=4, seed=0))
    for _ in range(4):
        trial = study.ask()
        drawn = written(trial)
        study.tell(trial, (1 / len(drawn.alive), len(drawn.nodes)))
    assert len({t.params["depth"] for t in study.trials}) == 4
    dead = [t.params["dead"] for t in study.trials]
    assert np.mean(dead) < 2, "of twelve forms of each, drawn at random, 5.5 would be usual"


def test_it_can_be_copied_and_pickled():
    sampler = Predictor(seed=5)
    create(sampler).ask()
    for other in (copy.deepcopy(sampler), pickle.loads(pickle.dumps(sampler))):
        create(other).ask()


def test_bad_arguments_are_refused():
    with pytest.raises(DescriptionError, match="startup"):
        Predictor(startup=1)
    with pytest.raises(DescriptionError, match="expected a space"):
        Predictor(known=KNOWN)
    study = create(Predictor(space, {"price": None}, startup=2, seed=0))
    with pytest.raises(DescriptionError, match="price"):
        study.optimize(train, n_trials=5)


def test_a_space_that_cannot_be_run_outside_a_study_says_so():
    def picky(trial):
        return trial.study.study_name

    study = create(Predictor(picky, startup=2, seed=0))
    with pytest.raises(SpaceError, match="outside a study"):
        study.ask()


def test_a_search_pauses_and_thaws(tmp_path):
    x = np.random.default_rng(0).normal(size=(80, 6)).astype("float32")
    search = nas.Search(
        name="thaw",
        space=nas.spaces.MLP(layers=(1, 2), widths=(2, 4, 8, 16)),
        data=nas.datasets.ArrayDataModule(x, (x[:, 0] > 0).astype("int64"), batch_size=32),
        objectives=["accuracy", "parameters"],
        fidelity=nas.Budget((1, 3)),
        sampler=Predictor(
            nas.spaces.MLP(layers=(1, 2), widths=(2, 4, 8, 16)), {"parameters": None}, 4, seed=0
        ),
        pruner="freeze-thaw",
    )
    study = search.run(trials=14, storage=optuna.storages.InMemoryStorage())
    outcomes = {t.user_attrs["outcome"] for t in study.trials}
    assert outcomes == {"pruned", "trained"}
    thawed = [t for t in study.trials if "continues" in t.user_attrs]
    assert thawed and all(t.user_attrs["spent"]["epochs"] == 2 for t in thawed)
