import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from optuna_nas.pareto import hypervolume
from optuna_nas.samplers.improvement import improvement

POINTS = st.integers(0, 6).flatmap(lambda n: arrays(float, (n, 2), elements=st.floats(0, 1.2)))


def added(front, point, reference):
    return hypervolume(np.vstack((front, point)), reference) - hypervolume(front, reference)


@given(POINTS, arrays(float, (3, 2), elements=st.floats(-0.2, 1.2)))
def test_two_objectives_are_exact(front, points):
    reference = np.array([1.0, 1.0])
    expected = [added(front, point, reference) for point in points]
    assert improvement(front, points, reference) == pytest.approx(expected, abs=1e-9)


def test_one_objective_is_what_is_below_the_best():
    points = np.array([[0.1], [0.3], [0.9]])
    front, reference = np.array([[0.5], [0.4]]), np.array([0.8])
    assert improvement(front, points, reference) == pytest.approx([0.3, 0.1, 0])
    assert improvement(front[:0], points, reference) == pytest.approx([0.7, 0.5, 0])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(3, 4))
def test_more_objectives_are_close(seed, objectives):
    rng = np.random.default_rng(seed)
    front, points = rng.random((5, objectives)), rng.random((8, objectives)) * 0.7
    reference = np.ones(objectives)
    expected = [added(front, point, reference) for point in points]
    found = improvement(front, points, reference)
    assert found == pytest.approx(expected, rel=0.25, abs=0.02)
