"""What samplers are shown of a study, and what they make of it."""

import copy
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.pruners import HyperbandPruner, MedianPruner
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)
from optuna.trial import FrozenTrial, TrialState

from optuna_nas import samplers
from optuna_nas.exceptions import DescriptionError
from optuna_nas.pareto import hypervolume
from optuna_nas.pruners import ParetoHyperband, ParetoSuccessiveHalving, report, should_prune
from optuna_nas.samplers import MultiFidelity
from optuna_nas.samplers.carrier import monotone

COMPLETE, PRUNED, FAIL, RUNNING = (
    TrialState.COMPLETE,
    TrialState.PRUNED,
    TrialState.FAIL,
    TrialState.RUNNING,
)
TWO = ["minimize", "minimize"]
STOCK: dict[str, Callable[[], BaseSampler]] = {
    "tpe": lambda: TPESampler(seed=0),
    "tpe multivariate": lambda: TPESampler(multivariate=True, seed=0),
    "nsga2": lambda: NSGAIISampler(population_size=4, seed=0),
}


class TestConformance(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture(params=STOCK)
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        return lambda: MultiFidelity(STOCK[request.param]())


class TestRelative(RelativeSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: MultiFidelity(TPESampler(multivariate=True, n_startup_trials=0, seed=0))


class Looking(BaseSampler):
    """Notes the trials that it is shown."""

    def __init__(self) -> None:
        self.seen: list[FrozenTrial] = []

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {"x": IntDistribution(0, 1000)}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self.seen = study.get_trials(deepcopy=False)
        study.set_user_attr("written", trial.number)
        return {"x": trial.number}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return 0


def looked_at(directions: Sequence[str] = TWO) -> tuple[optuna.Study, Looking]:
    sampler = MultiFidelity(Looking())
    assert isinstance(sampler.sampler, Looking)
    study = optuna.create_study(study_name="looked at", directions=directions, sampler=sampler)
    return study, sampler.sampler


def run(
    study: optuna.Study,
    curve: dict[int, Sequence[float]],
    values: Sequence[float] | None = None,
    state: TrialState | None = None,
    violation: float | None = None,
    **attrs: Any,
) -> optuna.Trial:
    trial = study.ask()
    trial.suggest_int("x", 0, 1000)
    for step, reported in curve.items():
        report(trial, step, dict(zip(study.metric_names or "ab", reported, strict=False)))
    if violation is not None:
        trial.set_constraint("cap", violation)
    for key, value in attrs.items():
        trial.set_user_attr(key, value)
    study.tell(trial, values, state=state or (COMPLETE if values else PRUNED))
    return trial


def shown(study: optuna.Study, looking: Looking) -> dict[int, FrozenTrial]:
    study.ask().suggest_int("x", 0, 1000)
    return {trial.number: trial for trial in looking.seen}


def test_a_pruned_trial_is_complete_with_its_value_carried_to_the_end() -> None:
    study, looking = looked_at()
    for error in (0.3, 0.4, 0.5, 0.6, 0.7):
        run(study, {1: (error + 0.2, 7.0), 2: (error + 0.1, 7.0)}, (error, 7.0))
    run(study, {1: (0.75, 3.25)})
    run(study, {1: (1.2, 5.0)})
    run(study, {1: (0.9, 5.0), 2: (0.75, 5.0)})
    seen = shown(study, looking)
    assert [seen[n].state for n in range(8)] == [COMPLETE] * 8
    assert seen[5].values == pytest.approx([0.55, 3.25], abs=0.02)
    assert seen[6].values == pytest.approx([1.0, 5.0], abs=0.02)
    assert seen[7].values == pytest.approx([0.65, 5.0], abs=0.02)
    assert seen[5].values[1] == 3.25  # it does not change with training
    assert [t.state for t in study.trials[5:8]] == [PRUNED] * 3
    assert study.trials[5].values is None


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_before_five_are_complete_rungs_count_first_then_values(direction: str) -> None:
    sign = 1.0 if direction == "minimize" else -1.0
    study, looking = looked_at([direction])
    for values in ({1: 0.1}, {1: 0.9, 3: 0.8}, {1: 0.2}, {1: 0.9, 3: 0.7}):
        run(study, {step: (sign * value,) for step, value in values.items()})
    assert study.trials[0].state == PRUNED
    run(study, {1: (sign * 5.0,), 3: (sign * 5.0,)}, (sign * 5.0,))
    seen = shown(study, looking)
    assert sorted(range(5), key=lambda n: sign * seen[n].value) == [4, 3, 1, 0, 2]
    assert seen[4].value == sign * 5.0


def test_a_rejected_trial_has_its_costs_and_the_worst_of_what_is_not_known() -> None:
    study, looking = looked_at()
    study.set_metric_names(["error (%)", "latency (ms)"])
    for error, latency in ((0.2, 3.0), (0.6, 1.0)):
        run(study, {1: (error + 0.1, latency)}, (error, latency), violation=-1.0)
    measured = {"latency": {"value": 9.0}, "parameters": {"value": 12}}
    run(study, {}, violation=4.0, measurements=measured)
    run(study, {}, violation=2.0)
    seen = shown(study, looking)
    assert seen[2].state == COMPLETE
    assert seen[2].values == [0.6, 9.0]
    assert seen[2].constraints == {"cap": 4.0}
    assert seen[3].values == [0.6, 9.0]


def test_trials_that_broke_different_caps_have_the_worst_alone() -> None:
    study, looking = looked_at()
    run(study, {}, (1.0, 1.0), violation=-1.0)
    trial = study.ask()
    trial.suggest_int("x", 0, 1000)
    trial.set_constraint("another", 3.0)
    study.tell(trial, state=PRUNED)
    run(study, {}, (2.0, 2.0))
    seen = shown(study, looking)
    assert [seen[n].constraints for n in range(3)] == [{"worst": v} for v in (-1.0, 3.0, 0.0)]
    assert study.trials[0].constraints == {"cap": -1.0}


def test_one_rejected_before_it_drew_all_stays_pruned() -> None:
    study, looking = looked_at()
    study.tell(study.ask(), state=PRUNED)
    run(study, {}, violation=1.0)
    seen = shown(study, looking)
    assert [seen[n].state for n in range(2)] == [PRUNED, COMPLETE]


def test_a_network_counts_once_with_its_furthest_rung() -> None:
    study, looking = looked_at()
    run(study, {1: (0.5, 1.0)})
    run(study, {1: (0.4, 2.0)}, (0.3, 2.0))
    run(study, {1: (0.5, 1.0)}, state=FAIL, continues=0)
    run(study, {3: (0.4, 1.0)}, continues=2)
    run(study, {}, (0.3, 2.0), reused_from=1)
    run(study, {9: (0.2, 1.0)}, (0.2, 1.0), continues=3)
    seen = shown(study, looking)
    assert [(t.number, t.state) for t in looking.seen[:3]] == [
        (0, COMPLETE),
        (1, COMPLETE),
        (2, FAIL),
    ]
    assert set(seen) == {0, 1, 2, 4, 6}
    assert (seen[4].state, seen[4].values) == (PRUNED, None)
    assert seen[0].values == [0.2, 1.0]
    assert seen[0]._trial_id == study.trials[0]._trial_id


def test_running_trials_are_seen_as_they_are_and_writing_goes_through() -> None:
    study, looking = looked_at()
    beside = study.ask()
    report(beside, 1, {"error": 0.5, "cost": 1.0})
    seen = shown(study, looking)
    assert seen[0].state == seen[1].state == RUNNING
    assert study.user_attrs["written"] == 1


def test_a_study_made_anew_is_read_anew() -> None:
    storage = optuna.storages.InMemoryStorage()
    sampler = MultiFidelity(Looking())
    for value in (1.0, 2.0):
        study = optuna.create_study(storage=storage, study_name="again", sampler=sampler)
        study.add_trial(optuna.create_trial(value=value))
        study.ask().suggest_int("x", 0, 1000)
        assert isinstance(sampler.sampler, Looking)
        assert sampler.sampler.seen[0].value == value
        optuna.delete_study(study_name="again", storage=storage)


def test_finished_trials_are_shown_without_being_made_again() -> None:
    study, looking = looked_at()
    for error in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        run(study, {1: (error + 0.2, 7.0)}, (error, 7.0))
        run(study, {1: (error + 0.3, 7.0)})
    before = shown(study, looking)
    run(study, {1: (0.9, 7.0)})  # nothing new of those that passed the rung
    after = shown(study, looking)
    assert all(after[n] is before[n] for n in range(12))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=1, max_size=30))
def test_a_fit_always_rises(pairs: list[tuple[float, float]]) -> None:
    inputs, values = np.array(sorted(pairs)).T
    asked = np.linspace(inputs[0] - 10, inputs[-1] + 10, 60)
    assert np.all(np.diff(monotone(inputs, values)(asked)) > 0)


def test_a_fit_goes_on_beyond_what_it_saw() -> None:
    inputs = np.linspace(1, 2, 40)
    fit = monotone(inputs, 2 * inputs)
    assert fit(np.array([0.0, 1.5, 3.0])) == pytest.approx([0.0, 3.0, 6.0], abs=0.35)


def wide(trial: optuna.Trial) -> tuple[float, float]:
    """Ten widths: those of odd layers pay, those of even ones harm."""
    widths = [trial.suggest_int(f"width{i}", 0, 9) for i in range(10)]
    odd, even = sum(widths[1::2]) / 45, sum(widths[::2]) / 45
    error, cost = 0.7 * (1 - odd) + 0.3 * even, (odd + even) / 2
    luck = (sum(width * 7**i for i, width in enumerate(widths)) % 1000) / 1000
    for step in (1, 3, 9):
        report(trial, step, {"error": error + 0.2 * (1 + luck) / step, "cost": cost})
        if should_prune(trial):
            raise optuna.TrialPruned
    return error, cost


def found(sampler: BaseSampler, trials: int) -> float:
    study = optuna.create_study(
        study_name="wide",
        directions=TWO,
        sampler=sampler,
        pruner=ParetoSuccessiveHalving(min_resource=1, reduction_factor=3),
    )
    study.optimize(wide, n_trials=trials)
    complete = study.get_trials(deepcopy=False, states=(COMPLETE,))
    return hypervolume(np.array([trial.values for trial in complete]), [1.0, 1.0])


@pytest.mark.parametrize(
    ("make", "trials", "margin"),
    [
        (lambda seed: NSGAIISampler(population_size=20, seed=seed), 160, 1.12),
        (lambda seed: TPESampler(multivariate=True, seed=seed), 60, 1.05),
    ],
    ids=["nsga2", "tpe"],
)
def test_more_is_found_where_trials_are_pruned(
    make: Callable[[int], BaseSampler], trials: int, margin: float
) -> None:
    seeds = range(4)
    without = np.mean([found(make(seed), trials) for seed in seeds])
    assert np.mean([found(MultiFidelity(make(seed)), trials) for seed in seeds]) > margin * without


def layered(trial: optuna.Trial) -> float:
    """One objective, conditional; some trials are pruned by their values."""
    value = trial.suggest_float("x", 0, 1)
    if trial.suggest_categorical("operator", ["conv", "pool"]) == "conv":
        value += trial.suggest_float("gain", 0, 1)
    for step in range(1, 10):
        trial.report(value + 1 / step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value


@pytest.mark.parametrize("name", STOCK)
@pytest.mark.parametrize(
    "pruner",
    [HyperbandPruner(1, 9), ParetoHyperband(1, 9), MedianPruner(3)],
    ids=lambda pruner: type(pruner).__name__,
)
def test_every_pruner_of_one_objective(name: str, pruner: optuna.pruners.BasePruner) -> None:
    study = optuna.create_study(
        study_name="layered",
        sampler=MultiFidelity(STOCK[name]()),
        pruner=copy.deepcopy(pruner),
    )
    study.optimize(layered, n_trials=30)
    assert {trial.state for trial in study.trials} == {COMPLETE, PRUNED}


def test_all_brackets_of_optunas_hyperband_are_seen() -> None:
    study, looking = looked_at(["minimize"])
    study.pruner = HyperbandPruner(1, 9)
    for number in range(12):
        trial = study.ask()
        trial.report(trial.suggest_int("x", 0, 1000) + number, 1)
        trial.should_prune()
        study.tell(trial, float(number))
    assert set(shown(study, looking)) == set(range(13))


@pytest.mark.parametrize("name", STOCK)
def test_a_seed_that_a_sampler_was_given_decides_with_the_number_of_the_trial(name: str) -> None:
    def draws(sampler: Callable[[], BaseSampler]) -> list[dict[str, Any]]:
        study = optuna.create_study(study_name="seeded", directions=TWO)
        for _ in range(16):
            study.sampler = pickle.loads(pickle.dumps(sampler()))  # as if resumed
            trial = study.ask()
            x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
            study.tell(trial, (x, y))
        return [trial.params for trial in study.trials]

    once = draws(lambda: MultiFidelity(STOCK[name]()))
    assert once == draws(lambda: MultiFidelity(STOCK[name]()))
    assert len({(params["x"], params["y"]) for params in once}) == 16
    assert once != draws(lambda: MultiFidelity(STOCK[name](), seed=1))


def test_draws_do_not_hang_on_the_order_in_which_trials_draw() -> None:
    def draws(first: int) -> list[tuple[float, float]]:
        study = optuna.create_study(sampler=MultiFidelity(RandomSampler(seed=3)))
        trials = [study.ask(), study.ask()]
        for place in (first, 1 - first):
            trials[place].suggest_float("x", 0, 1)
        return [trial.params["x"] for trial in trials]

    assert draws(0) == draws(1)
    assert len(set(draws(0))) == 2


def test_the_sampler_that_was_given_stays_as_it_is() -> None:
    mine, twin = TPESampler(seed=5), TPESampler(seed=5)
    study = optuna.create_study(sampler=MultiFidelity(mine))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    assert np.array_equal(mine._rng.rng.get_state()[1], twin._rng.rng.get_state()[1])
    assert type(mine) is TPESampler


def test_a_search_shows_optunas_samplers_the_study_and_leaves_others() -> None:
    unseeded, seeded = samplers.given(TPESampler(), 3), samplers.given(TPESampler(seed=5), 3)
    assert isinstance(unseeded, MultiFidelity) and isinstance(seeded, MultiFidelity)
    assert (unseeded.seed, seeded.seed, seeded.seeded) == (3, None, True)
    own = samplers.NSGAII(seed=1)
    assert type(samplers.given(own, 3)) is samplers.NSGAII
    assert samplers.given(own, 3) is not own
    unseeded = samplers.given(MultiFidelity(NSGAIISampler()), 3)
    assert isinstance(unseeded, MultiFidelity) and unseeded.seed == 3


@pytest.mark.parametrize("name", ["tpe", "tpe multivariate", "nsga2", "gp"])
def test_a_sampler_does_not_draw_the_same_for_ever(name: str) -> None:
    """Though the sampler learns nothing from networks that are told again."""
    make = {**STOCK, "gp": lambda: GPSampler(seed=0)}[name]
    study = optuna.create_study(directions=TWO, sampler=MultiFidelity(make()))
    known: dict[tuple[int, int], int] = {}
    for _ in range(40):
        trial = study.ask({"a": IntDistribution(0, 5), "b": IntDistribution(0, 2)})
        key = trial.params["a"], trial.params["b"]
        if key in known:
            trial.set_user_attr("reused_from", known[key])
        study.tell(trial, key)
        known.setdefault(key, trial.number)
    assert len(known) >= 12
    assert len(known) == 18 or name in ("tpe", "nsga2")  # which draw some parameters alone


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(DescriptionError, match="expected an Optuna sampler, got 'tpe'"):
        MultiFidelity("tpe")
    with pytest.raises(DescriptionError, match="expected a seed of at least 0, got -1"):
        MultiFidelity(TPESampler(), seed=-1)
