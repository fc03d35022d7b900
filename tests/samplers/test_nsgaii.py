import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)
from optuna.trial import TrialState

from optuna_nas.exceptions import DescriptionError
from optuna_nas.pruners.curve import report
from optuna_nas.samplers import NSGAII

TWO = ["minimize", "minimize"]
Params = list[dict[str, Any]]


class TestConformance(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    @pytest.fixture(params=[20, 2])
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        return lambda: NSGAII(population_size=request.param, seed=0)


def space(trial: optuna.Trial) -> tuple[float, float]:
    """Conditional: what a layer has depends on the depth and on its operator."""
    depth = trial.suggest_int("depth", 1, 4)
    error, cost = 1.0, 0.0
    for i in range(depth):
        if trial.suggest_categorical(f"operator{i}", ["conv", "pool"]) == "conv":
            width = trial.suggest_int(f"conv{i}.width", 8, 64, step=8)
            error -= 0.2 * trial.suggest_float(f"conv{i}.gain", 0.0, 1.0)
            cost += width
        else:
            error += abs(trial.suggest_float(f"pool{i}.size", 1.0, 4.0) - 2.0) / 10
    return error, cost


def rough(trial: optuna.Trial) -> tuple[float, float]:
    """As `space`, with trials that are rejected, pruned or fail."""
    error, cost = space(trial)
    if cost > 120:
        trial.set_constraint("cost", cost - 120)
        raise optuna.TrialPruned
    report(trial, 1, {"error": error, "cost": cost})
    if trial.number % 7 == 3:
        raise ValueError("a trial that fails")
    if error > 0.8:
        raise optuna.TrialPruned
    return error, cost


def create(sampler: BaseSampler, storage: Any = None) -> optuna.Study:
    return optuna.create_study(
        directions=TWO, sampler=sampler, storage=storage, study_name="s", load_if_exists=True
    )


def params(study: optuna.Study) -> Params:
    return [trial.params for trial in study.trials]


def searched(n_trials: int, seed: int = 0, storage: Any = None) -> Params:
    study = create(NSGAII(population_size=6, seed=seed), storage)
    study.optimize(rough, n_trials=n_trials, catch=ValueError)
    return params(study)


def test_a_seed_decides_every_choice() -> None:
    assert searched(30, seed=5) == searched(30, seed=5)
    assert searched(30, seed=5) != searched(30, seed=6)


def test_the_kind_of_storage_does_not_matter(tmp_path: Path) -> None:
    assert searched(25, storage=f"sqlite:///{tmp_path}/s.db") == searched(25)


@pytest.mark.parametrize("stops", [(10, 30), (3, 4, 11, 30)])
def test_a_resumed_study_goes_on_as_if_it_had_not_stopped(stops: tuple[int, ...]) -> None:
    study = create(NSGAII(population_size=6, seed=0))
    for stop in stops:
        study.sampler = NSGAII(population_size=6, seed=0)
        study.optimize(rough, n_trials=stop - len(study.trials), catch=ValueError)
    assert params(study) == searched(30)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_a_copy_makes_the_same_choices(copied: Callable[[NSGAII], NSGAII]) -> None:
    study = create(NSGAII(population_size=6))
    study.optimize(space, n_trials=15)
    proposals = [ask_again(study, sampler) for sampler in (study.sampler, copied(study.sampler))]
    assert proposals[0] == proposals[1]


def ask_again(study: optuna.Study, sampler: BaseSampler) -> dict[str, Any]:
    """What the sampler proposes to a further worker, in a copy of the study."""
    worker = copy.deepcopy(study)
    worker.sampler = sampler
    trial = worker.ask()
    space(trial)
    return trial.params


def test_without_a_seed_samplers_differ() -> None:
    study = create(NSGAII(population_size=6))
    assert ask_again(study, NSGAII()) != ask_again(study, NSGAII())


def test_workers_that_ask_at_once_draw_differently() -> None:
    study = create(NSGAII(population_size=6, mutation_prob=1.0, seed=0))
    study.optimize(space, n_trials=10)
    drawn = [worker.ask() for worker in [create_worker(study) for _ in range(8)]]
    gains = {trial.suggest_float("conv0.gain", 0.0, 1.0) for trial in drawn}
    assert len(gains) == 8


def create_worker(study: optuna.Study) -> optuna.Study:
    return optuna.load_study(
        study_name="s", storage=study._storage, sampler=copy.deepcopy(study.sampler)
    )


def test_interleaved_trials_keep_their_parents_and_their_numbers() -> None:
    together, apart = (prepared(), prepared())
    first, second = together.ask(), together.ask()
    for i in range(4):
        for trial in (second, first):
            trial.suggest_float(f"conv{i}.gain", 0.0, 1.0)
    for trial in (first, second):
        alone = apart.ask()
        for i in range(4):
            alone.suggest_float(f"conv{i}.gain", 0.0, 1.0)
        assert alone.params == trial.params


def prepared() -> optuna.Study:
    study = create(NSGAII(population_size=6, seed=0))
    study.optimize(space, n_trials=10)
    return study


def test_parents_stay_when_other_trials_finish_meanwhile() -> None:
    study = two_parents(mutation_prob=0.0)
    trial = study.ask()
    before = trial.suggest_float("a0", 0.0, 1.0)
    for value in (0.001, 0.002, 0.003):
        study.add_trial(parent({f"a{i}": value for i in range(20)}, (-1.0, -1.0)))
    after = [trial.suggest_float(f"a{i}", 0.0, 1.0) for i in range(1, 20)]
    assert {before, *after} <= {0.25, 0.75}


def parent(
    values: dict[str, float],
    objectives: tuple[float, float],
    distribution: BaseDistribution | None = None,
) -> optuna.trial.FrozenTrial:
    distribution = distribution or FloatDistribution(0.0, 1.0)
    return optuna.create_trial(
        params=values, distributions=dict.fromkeys(values, distribution), values=objectives
    )


def two_parents(**arguments: Any) -> optuna.Study:
    study = create(NSGAII(population_size=2, seed=0, **arguments))
    study.add_trial(parent({f"a{i}": 0.25 for i in range(20)}, (0.0, 1.0)))
    study.add_trial(parent({f"a{i}": 0.75 for i in range(20)} | {"own": 0.5}, (1.0, 0.0)))
    return study


def test_a_child_has_about_half_of_each_parent_and_all_that_one_alone_has() -> None:
    study = two_parents(mutation_prob=0.0)
    trial = study.ask()
    inherited = [trial.suggest_float(f"a{i}", 0.0, 1.0) for i in range(20)]
    assert set(inherited) == {0.25, 0.75}
    assert 4 <= inherited.count(0.25) <= 16
    assert trial.suggest_float("own", 0.0, 1.0) == 0.5


def test_what_no_parent_has_is_drawn_at_random() -> None:
    study = two_parents(mutation_prob=0.0)
    trial = study.ask()
    values = [trial.suggest_float(f"new{i}", 0.0, 1.0) for i in range(20)]
    values += [trial.suggest_float(f"a{i}", 0.0, 0.9) for i in range(20)]  # another distribution
    assert len(set(values)) == 40


def test_without_crossover_a_child_has_one_parent() -> None:
    study = two_parents(mutation_prob=0.0, crossover_prob=0.0)
    for _ in range(5):
        trial = study.ask()
        assert len({trial.suggest_float(f"a{i}", 0.0, 1.0) for i in range(20)}) == 1


def test_by_default_two_parameters_of_a_child_mutate_on_average() -> None:
    study = two_parents()
    mutated = 0
    for _ in range(100):
        trial = study.ask()
        values = [trial.suggest_float(f"a{i}", 0.0, 1.0) for i in range(20)]
        mutated += sum(value not in (0.25, 0.75) for value in values)
    assert 150 < mutated < 250


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from("abcdefgh"), st.tuples(st.integers(0, 9), st.integers(10, 12))
        ).filter(len),
        min_size=2,
        max_size=2,
        unique_by=lambda genes: tuple(sorted(genes.items())),
    ),
    st.integers(0, 2**32),
)
def test_a_child_has_what_a_parent_has_under_the_same_distribution(
    genes: list[dict[str, tuple[int, int]]], seed: int
) -> None:
    study = create(NSGAII(population_size=2, mutation_prob=0.0, seed=seed))
    for number, parameters in enumerate(genes):
        study.add_trial(
            optuna.create_trial(
                params={name: value for name, (value, _) in parameters.items()},
                distributions={n: IntDistribution(0, high) for n, (_, high) in parameters.items()},
                values=(number, -number),
            )
        )
    if len(parents := [t.params for t in study.trials]) == 2 and parents[0] != parents[1]:
        trial = study.ask()
        for name in "abcdefgh":
            value = trial.suggest_int(name, 0, 11)
            allowed = {g[name][0] for g in genes if name in g and g[name][1] == 11}
            assert value in (allowed or range(12))


def test_conditional_parameters_evolve() -> None:
    def lopsided(trial: optuna.Trial) -> tuple[float, float]:
        kind = trial.suggest_categorical("kind", ["a", "b"])
        values = [trial.suggest_float(f"{kind}{i}", 0.0, 1.0) for i in range(8)]
        return (sum(values), len(values)) if kind == "a" else (8 + sum(values), 0)

    def reached(sampler: BaseSampler) -> float:
        study = create(sampler)
        study.optimize(lopsided, n_trials=250)
        return min(trial.values[0] for trial in study.trials)

    ours, stock, chance = (
        reached(NSGAII(seed=0)),
        reached(optuna.samplers.NSGAIISampler(population_size=20, seed=0)),
        reached(optuna.samplers.RandomSampler(seed=0)),
    )
    assert ours < 0.6 * min(stock, chance)


@pytest.mark.parametrize("rejected", [True, False])
def test_trials_that_never_complete_are_learned_from(rejected: bool) -> None:
    def never(trial: optuna.Trial) -> tuple[float, float]:
        total = sum(trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(10))
        if rejected:
            trial.set_constraint("total", total)
        else:
            report(trial, 2, {"total": total, "again": total})
        raise optuna.TrialPruned

    study = create(NSGAII(seed=0))
    study.optimize(never, n_trials=200)
    totals = [sum(trial.params.values()) for trial in study.trials]
    assert sum(totals[-50:]) < 0.6 * sum(totals[:50])


@pytest.mark.parametrize("objectives", [1, 3, 4])
def test_any_number_of_objectives(objectives: int) -> None:
    study = optuna.create_study(
        directions=["maximize"] * objectives, sampler=NSGAII(population_size=5, seed=0)
    )

    def objective(trial: optuna.Trial) -> list[float]:
        return [trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(objectives)]

    study.optimize(objective, n_trials=25)
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)


def test_two_threads_share_a_sampler() -> None:
    study = create(NSGAII(population_size=5, seed=0))
    study.optimize(rough, n_trials=60, n_jobs=2, catch=ValueError)
    assert all(trial.state.is_finished() for trial in study.trials)
    assert not study.sampler.held(study).children


def test_one_sampler_serves_two_studies() -> None:
    sampler = NSGAII(population_size=6, seed=0)
    studies = [optuna.create_study(directions=TWO, sampler=sampler) for _ in range(2)]
    for _ in range(30):
        for study in studies:
            study.optimize(rough, n_trials=1, catch=ValueError)
    assert params(studies[0]) == params(studies[1]) == searched(30)


def test_optunas_hyperband_does_not_split_the_population() -> None:
    def objective(trial: optuna.Trial) -> float:
        value = trial.suggest_float("x", 0.0, 1.0)
        for step in range(1, 10):
            trial.report(value, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    sampler = NSGAII(population_size=5, seed=0)
    study = optuna.create_study(
        sampler=sampler,
        pruner=optuna.pruners.HyperbandPruner(1, 9),
        study_name="s",
    )
    study.optimize(objective, n_trials=30)
    evolution = sampler.held(study)
    assert len(evolution.population.members) == 5
    assert not evolution.children


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"population_size": 1}, "population_size to be a whole number of at least 2, got 1"),
        ({"population_size": 2.5}, r"population_size .* got 2\.5"),
        ({"population_size": True}, "population_size .* got True"),
        ({"crossover_prob": 1.5}, r"crossover_prob between 0 and 1, got 1\.5"),
        ({"mutation_prob": -0.1}, r"mutation_prob between 0 and 1, got -0\.1"),
        ({"mutation_prob": float("nan")}, "mutation_prob .* got nan"),
        ({"mutation_prob": "2/n"}, "mutation_prob .* got '2/n'"),
        ({"seed": -1}, "seed to be a whole number of at least 0, got -1"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DescriptionError, match=message):
        NSGAII(**arguments)
