import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.study import StudyDirection

from optuna_nas.pareto import hypervolume, on_front, rank
from optuna_nas.pruners.ranking import (
    REFERENCE,
    before_first,
    contributions,
    layers_2d,
    ranges,
    traded,
)
from optuna_nas.pruners.standings import Rung

losses = st.one_of(
    st.integers(0, 4).map(float), st.floats(-1e6, 1e6), st.sampled_from([math.inf, -math.inf])
)


def points(objectives, most=30):
    return st.lists(st.tuples(*[losses] * objectives), min_size=1, max_size=most).map(
        lambda rows: np.array(rows, dtype=float)
    )


def rung_with(rows):
    rung = Rung([StudyDirection.MINIMIZE] * rows.shape[1])
    for number, row in enumerate(rows.tolist()):
        rung.put(number, number, row)
    return rung


def first_among_best(rows, quota):
    return rung_with(rows[1:]).has_among_best(rows[0].tolist(), quota)


def promoted(rows, quota):
    """Which points are among the best when each is asked in turn."""
    return np.array([first_among_best(np.roll(rows, -i, axis=0), quota) for i in range(len(rows))])


@settings(deadline=None)
@given(points(1), st.integers(1, 30))
def test_one_objective_is_ranked_by_value(rows, quota):
    better = (rows < rows.T).sum(axis=0)
    assert (promoted(rows, quota) == (better < quota)).all()


@settings(deadline=None)
@given(points(1), losses, st.integers(1, 30))
def test_a_constant_objective_changes_nothing(rows, constant, quota):
    beside = np.column_stack([rows, np.full(len(rows), constant)])
    assert (promoted(beside, quota) == promoted(rows, quota)).all()


@settings(deadline=None)
@given(st.integers(1, 4).flatmap(points), st.integers(1, 30))
def test_better_layers_come_first_and_fill_the_quota(rows, quota):
    chosen, layers = promoted(rows, quota), rank(traded(rows, ranges(rows)))
    assert chosen.sum() >= min(quota, len(rows))
    last = layers[chosen].max()
    assert chosen[layers < last].all()


@settings(deadline=None)
@given(st.integers(1, 4).flatmap(points), st.integers(1, 30))
def test_what_dominates_a_promoted_point_is_promoted(rows, quota):
    chosen = promoted(rows, quota)
    for point in rows[chosen]:
        assert chosen[(rows <= point).all(axis=1)].all()


@settings(deadline=None)
@given(st.integers(2, 4).flatmap(points), st.integers(1, 30))
def test_decisions_are_those_of_the_definition(rows, quota):
    seen = traded(rows, ranges(rows))
    layers = rank(seen)
    layer = seen[layers == layers[0]]  # the first point comes first
    free = quota - (layers < layers[0]).sum()
    chosen = free > 0 and (len(layer) <= free or before_first(layer, ranges(seen)) < free)
    assert first_among_best(rows, quota) == chosen


@settings(deadline=None)
@given(st.integers(1, 4).flatmap(points), st.integers(2, 4))
def test_a_rung_that_grows_decides_as_one_that_is_read_at_once(rows, factor):
    grown = rung_with(rows[:0])
    for place, row in enumerate(rows.tolist()):
        quota = max((place + 1) // factor, 1)
        at_once = rung_with(rows[:place]).has_among_best(row, quota)
        assert grown.has_among_best(row, quota) == at_once
        grown.put(place, place, row)


def test_a_tenth_of_one_range_is_given_up_for_the_whole_of_another():
    cheapest, ends = [1.0, 0.0], [[0.0, 1.0]]
    for latency, dominates in ((0.04, True), (0.06, False)):
        better = [0.5, latency]  # better by half the range of the first objective
        rows = np.array([cheapest, better, *ends])
        assert (rank(traded(rows, ranges(rows)))[0] == 1) == dominates


@settings(deadline=None)
@given(points(2))
def test_layers_of_two_objectives_are_the_non_dominated_ranks(rows):
    assert (layers_2d(rows) == rank(rows)).all()


@settings(deadline=None)
@given(points(2), st.integers(1, 30))
def test_equal_points_share_a_place(rows, quota):
    twice = np.concatenate([rows, rows])
    chosen = promoted(twice, quota)
    assert (chosen[: len(rows)] == chosen[len(rows) :]).all()


@settings(deadline=None)
@given(st.integers(2, 3).flatmap(points), st.integers(1, 30))
def test_the_order_of_the_others_does_not_matter(rows, quota):
    shuffled = np.concatenate([rows[:1], rows[:0:-1]])
    assert first_among_best(rows, quota) == first_among_best(shuffled, quota)


@settings(deadline=None)
@given(st.integers(2, 4), st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_a_contribution_is_the_volume_lost_without_the_point(objectives, size, seed):
    rows = np.random.default_rng(seed).random((size, objectives))
    front = np.unique(rows[on_front(rows)], axis=0)
    reference = [REFERENCE] * objectives
    whole = hypervolume(front, reference)
    lost = [whole - hypervolume(np.delete(front, i, axis=0), reference) for i in range(len(front))]
    assert contributions(front) == pytest.approx(lost)


@settings(deadline=None)
@given(st.integers(2, 3), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_exactly_the_quota_is_promoted_of_distinct_points(objectives, quota, seed):
    rows = np.random.default_rng(seed).random((12, objectives))
    assert promoted(rows, quota).sum() == quota


def test_what_is_useless_by_one_objective_comes_last_in_its_layer():
    useful = np.array([[0.05, 6.0], [0.1, 3.0], [0.2, 1.5], [0.3, 0.8]])
    useless = np.array([[0.9, 0.1], [0.89, 0.11], [0.88, 0.12]])
    rows = np.concatenate([useless, useful, [[0.9, 9.0]]])
    assert promoted(rows, 4).tolist() == [False] * 3 + [True] * 4 + [False]


@pytest.mark.parametrize("rows", [[[math.inf, 1.0]] * 3, [[math.inf, math.inf], [1.0, 2.0]]])
def test_infinite_objectives_are_ranked(rows):
    assert first_among_best(np.array(rows), 2)
