import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

from optuna_nas.samplers import LocalSearch
from optuna_nas.samplers.local_search import _beside


class TestConformance(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    @pytest.fixture
    def sampler(self):
        return lambda: LocalSearch(startup=3, seed=0)


def space(trial):
    depth = trial.suggest_int("depth", 1, 2)
    widths = [trial.suggest_int(f"width{i}", 1, 3) for i in range(depth)]
    kind = trial.suggest_categorical("kind", ["a", "b"])
    return sum(widths) + (kind == "b")


def run(trials, objective=space, given=space):
    study = optuna.create_study(sampler=LocalSearch(given, startup=1, seed=0))
    study.optimize(objective, n_trials=trials)
    return study


def apart(one, other):
    """How many of the parameters that both have differ."""
    return sum(one.params[name] != other.params[name] for name in one.params & other.params.keys())


def test_a_climb_tries_neighbours_of_the_best_until_none_is_better():
    study = run(20)
    climb = [t for t in study.trials if t.number == 0 or t.system_attrs["nas:climb"] == -1]
    assert 2 < len(climb) < 20
    for trial in climb[1:]:
        before = [t for t in climb if t.number < trial.number]
        best = min(t.value for t in before)
        assert any(apart(t, trial) == 1 for t in before if t.value == best)
    beginnings = [t for t in study.trials if t.system_attrs.get("nas:climb") == t.number]
    assert beginnings
    assert study.best_value == 1


def test_with_several_objectives_all_of_the_front_is_tried_from():
    study = optuna.create_study(
        directions=["minimize", "maximize"], sampler=LocalSearch(space, startup=1, seed=0)
    )
    study.optimize(lambda trial: (space(trial), space(trial)), n_trials=18)
    # Every network is on the front, so that one climb reaches all of the space: 2 * (3 + 9).
    assert {t.system_attrs.get("nas:climb", -1) for t in study.trials} == {-1}


@pytest.mark.parametrize(
    ("kind", "value", "beside"),
    [
        (CategoricalDistribution(["a", "b", "c"]), "b", ["a", "c"]),
        (IntDistribution(1, 4), 1, [2]),
        (IntDistribution(8, 64, step=8), 16, [8, 24]),
        (IntDistribution(0, 80), 20, [10, 30]),
        (IntDistribution(1, 256, log=True), 16, [8, 32]),
        (IntDistribution(1, 256, log=True), 1, [2]),
        (FloatDistribution(0, 8), 3.5, [2.5, 4.5]),
        (FloatDistribution(0, 1, step=0.25), 0.5, [0.25, 0.75]),
        (FloatDistribution(1.0, 1.0), 1.0, []),
    ],
    ids=str,
)
def test_neighbours_are_other_choices_or_one_step_away(kind, value, beside):
    assert _beside(value, kind) == pytest.approx(beside)
