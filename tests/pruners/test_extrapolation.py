import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optuna_nas.exceptions import DescriptionError
from optuna_nas.pruners.extrapolation import expected_end


def curves(count, seed=0, epochs=30, noise=0.005):
    """Losses that fall at different paces to different ends (N, epochs)."""
    rng = np.random.default_rng(seed)
    ends, pace = rng.uniform(0.1, 0.5, (count, 1)), rng.uniform(3, 10, (count, 1))
    fall = np.exp(-np.arange(1, epochs + 1) / pace)
    return ends + (0.9 - ends) * fall + rng.normal(0, noise, (count, epochs))


def as_curve(row, until=None):
    return dict(enumerate(row[:until].tolist(), start=1))


def held_back(rows, at, known, seed=0, count=100):
    """True ends (K,), and mean and deviation expected by `known` other curves (K, 2)."""
    rng = np.random.default_rng(seed)
    ends, told = [], []
    for _ in range(count):
        mine, *others = rng.choice(len(rows), known + 1, replace=False)
        ends.append(rows[mine, -1])
        told.append(expected_end(as_curve(rows[mine], at), [as_curve(rows[i]) for i in others]))
    return np.array(ends), np.array(told)


def error(ends, told):
    return np.abs(ends - told).mean()


@pytest.mark.parametrize("known", [5, 20, 60])
@pytest.mark.parametrize("at", [5, 10, 20])
def test_ends_are_learned_from_others_and_deviations_hold(known, at):
    rows = curves(120)
    ends, told = held_back(rows, at, known)
    within = np.abs(ends - told[:, 0]) / told[:, 1]
    assert 0.5 <= (within < 1).mean() <= 0.97
    assert (within < 2).mean() >= 0.85
    risen = rows[:, -1] - rows[:, at - 1]
    assert error(ends, told[:, 0]) < np.abs(risen - risen.mean()).mean()


def test_the_more_is_known_the_surer():
    rows = curves(60)
    by_step = [held_back(rows, at, 20, count=40)[1][:, 1].mean() for at in (3, 8, 20)]
    assert by_step == sorted(by_step, reverse=True)
    by_count = [held_back(rows, 8, known, count=40)[1][:, 1].mean() for known in (4, 12, 50)]
    assert by_count == sorted(by_count, reverse=True)


@pytest.mark.parametrize("fall", [lambda t: t**-0.5, lambda t: np.exp(-t / 8)])
def test_before_any_has_finished_a_curve_speaks_for_itself(fall):
    row = 0.2 + fall(np.arange(1, 101.0))
    mean, deviation = expected_end(as_curve(row, 20), [], length=100)
    assert abs(mean - row[-1]) < abs(row[19] - row[-1])
    assert abs(mean - row[-1]) < 2 * deviation
    assert deviation > 0.1 * (row[0] - row[19])


def test_one_value_alone_says_little():
    mean, deviation = expected_end({1: 3.0}, [], length=10)
    assert mean == pytest.approx(3.0)
    assert deviation >= 0.3


def test_finished_curves_that_ended_earlier_do_not_teach():
    short = [as_curve(row, 4) for row in curves(10)]
    long = as_curve(curves(1, seed=1)[0], 20)
    assert expected_end(long, short, length=30) == expected_end(long, [], length=30)


def test_the_length_is_that_of_the_longest_finished_curve():
    mine, other = (as_curve(row) for row in curves(2))
    assert expected_end({1: mine[1], 2: mine[2]}, [other]) == expected_end(
        {1: mine[1], 2: mine[2]}, [other], length=30
    )


def test_without_any_length_or_step_it_says_what_is_missing():
    with pytest.raises(DescriptionError, match="pass length"):
        expected_end({1: 1.0}, [])
    with pytest.raises(DescriptionError, match="at least one step"):
        expected_end({}, [{1: 1.0}])


def test_curves_that_never_move_are_taken_as_they_are():
    mean, deviation = expected_end({1: 2.0}, [{1: 2.0, 5: 2.0}] * 4)
    assert mean == pytest.approx(2.0)
    assert math.isfinite(deviation)


@given(st.floats(0.01, 100), st.floats(-50, 50), st.integers(1, 20), st.integers(0, 8))
def test_units_of_losses_and_steps_do_not_matter(factor, shift, stride, known):
    def other_units(curve):
        return {stride * step: factor * loss + shift for step, loss in curve.items()}

    rows = [as_curve(row) for row in curves(known)]
    mine = as_curve(curves(1, seed=3)[0], 12)
    mean, deviation = expected_end(mine, rows, length=30)
    again = expected_end(other_units(mine), list(map(other_units, rows)), length=30 * stride)
    exactly = known >= 3 or stride == 1
    assert again.deviation == pytest.approx(factor * deviation, rel=1e-5 if exactly else 0.5)
    if exactly:
        assert again.mean == pytest.approx(factor * mean + shift, rel=1e-5, abs=1e-5 * factor)


@pytest.fixture(scope="module")
def errors(real):
    return -real[0]


@pytest.mark.parametrize("at", [20, 50, 100])
def test_real_ends_are_told_better_than_by_the_last_value_and_the_mean_rise(errors, at):
    ends, told = held_back(errors, at, known=20)
    rise = (errors[:, -1] - errors[:, at - 1]).mean()
    rng = np.random.default_rng(0)
    mine = [rng.choice(len(errors), 21, replace=False)[0] for _ in ends]
    assert error(ends, told[:, 0]) < 0.7 * error(ends, errors[mine, at - 1] + rise)
    assert 0.65 <= (np.abs(ends - told[:, 0]) < told[:, 1]).mean() <= 0.95
    assert (np.abs(ends - told[:, 0]) < 2 * told[:, 1]).mean() >= 0.88
