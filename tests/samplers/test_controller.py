import copy

import numpy as np
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from optuna_nas.exceptions import SpaceError
from optuna_nas.samplers.controller import PARTS, Choices, Controller

KINDS = [
    CategoricalDistribution(["a", "b", None]),
    IntDistribution(1, 4),
    IntDistribution(0, 1000),
    IntDistribution(8, 64, step=8),
    IntDistribution(1, 5000, log=True),
    IntDistribution(3, 3),
    FloatDistribution(-1.0, 2.0),
    FloatDistribution(1e-5, 1.0, log=True),
    FloatDistribution(0.0, 1.0, step=0.1),
    FloatDistribution(2.0, 2.0),
]
EVEN = np.array([[0.5, 0.5]])


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_part_draws_its_own_values(kind):
    choices, rng = Choices(kind), np.random.default_rng(0)
    for place in range(len(choices)):
        for _ in range(20):
            value = choices.draw(place, rng)
            assert kind._contains(kind.to_internal_repr(value))
            assert choices.place(value) == place


def test_short_ranges_and_categories_are_chosen_among_one_by_one():
    assert len(Choices(IntDistribution(1, 4))) == 4
    assert len(Choices(CategoricalDistribution(range(40)))) == 40
    assert len(Choices(IntDistribution(0, 1000))) == PARTS
    assert len(Choices(FloatDistribution(2.0, 2.0))) == 1


def test_an_unknown_distribution_is_refused():
    with pytest.raises(SpaceError, match="categorical, int or float"):
        Choices("a distribution")


def share(controller, weights, wanted):
    """Share of walks that choose something, on the meta device, as spaces are run."""
    rng, count = np.random.default_rng(0), 0
    with torch.device("meta"):
        for _ in range(300):
            walk = controller.walk(weights, rng)
            count += (walk("x", KINDS[0]), walk("y", KINDS[1])) == wanted
    return count / 300


def test_what_was_better_than_expected_is_drawn_more_often():
    controller = Controller(objectives=2, rate=0.02, seed=0)
    untaught = copy.deepcopy(controller)
    steps = [("x", KINDS[0], "b"), ("y", KINDS[1], 3)]
    for _ in range(10):
        controller.learn(steps, EVEN, np.array([0.5]))
    assert share(controller, EVEN[0], ("b", 3)) > 0.5
    before = share(untaught, EVEN[0], ("b", 3))
    assert 0.02 < before < 0.2
    for _ in range(10):
        untaught.learn(steps, EVEN, np.array([-0.5]))
    assert share(untaught, EVEN[0], ("b", 3)) < before / 2


def test_it_learns_one_thing_for_one_objective_and_another_for_the_other():
    controller = Controller(objectives=2, rate=0.02, seed=0)
    weights = np.array([[1.0, 0.0], [0.0, 1.0]])
    for _ in range(60):
        controller.learn([("x", KINDS[0], "a"), ("y", KINDS[1], 1)], weights, np.array([1, -1]))
        controller.learn([("x", KINDS[0], "b"), ("y", KINDS[1], 4)], weights, np.array([-1, 1]))
    assert share(controller, weights[0], ("a", 1)) > 0.5 > share(controller, weights[1], ("a", 1))
    assert share(controller, weights[1], ("b", 4)) > 0.5 > share(controller, weights[0], ("b", 4))


def test_its_weights_follow_from_its_seed_and_leave_other_generators_alone():
    torch.manual_seed(1)
    expected = torch.rand(1).item()
    torch.manual_seed(1)
    walks = [Controller(2, 0.01, s).walk(EVEN[0], np.random.default_rng(0)) for s in (5, 5, 6)]
    kinds = [FloatDistribution(0, 1), FloatDistribution(0, 9)]
    first, second, _ = ([walk(str(kind), kind) for kind in kinds] for walk in walks)
    assert first == second
    assert torch.rand(1).item() == expected
