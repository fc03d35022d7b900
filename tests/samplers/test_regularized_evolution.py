import optuna
import pytest
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

from optuna_nas.samplers import RegularizedEvolution


class TestConformance(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    @pytest.fixture
    def sampler(self):
        return lambda: RegularizedEvolution(startup=3, seed=0)


def space(trial):
    return sum(trial.suggest_int(f"x{i}", 0, 9) for i in range(6))


def apart(one, other):
    return sum(one.params[name] != other.params[name] for name in one.params)


def test_a_child_differs_in_one_parameter_from_one_of_the_latest():
    """The oldest dies, however good it is."""
    sampler = RegularizedEvolution(space, population_size=5, sample_size=5, startup=5, seed=0)
    study = optuna.create_study(sampler=sampler)
    study.enqueue_trial({f"x{i}": 0 for i in range(6)})
    study.optimize(space, n_trials=40)
    for trial in study.trials[5:]:
        latest = study.trials[trial.number - 5 : trial.number]
        best = min(latest, key=lambda t: t.value)
        same = [t for t in latest if t.value == best.value]
        assert 1 in [apart(t, trial) for t in same]
    assert all(trial.value > 0 for trial in study.trials[1:])


def test_where_every_neighbour_was_tried_the_child_is_further_away():
    def two(trial):
        return sum(trial.suggest_int(f"x{i}", 0, 1) for i in range(3))

    sampler = RegularizedEvolution(two, population_size=2, sample_size=1, startup=2, seed=0)
    study = optuna.create_study(sampler=sampler)
    study.optimize(two, n_trials=8)
    assert len({str(trial.params) for trial in study.trials}) == 8
