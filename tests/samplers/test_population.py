import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.pareto import rank
from optuna_nas.samplers.population import Population

COMPLETE, PRUNED, FAIL, RUNNING = (
    TrialState.COMPLETE,
    TrialState.PRUNED,
    TrialState.FAIL,
    TrialState.RUNNING,
)
MINIMIZE, MAXIMIZE = StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE


def finished(
    number: int,
    values: tuple[float, ...] | None = None,
    *,
    state: TrialState = COMPLETE,
    x: float | None = None,
    minute: int | None = None,
    curve: dict[int, tuple[float | None, ...]] | None = None,
    violation: float = 0.0,
    **user_attrs: Any,
) -> FrozenTrial:
    curve = curve or {}
    several = {f"nas:step:{step}": list(v) for step, v in curve.items() if len(v) > 1}
    one = {step: math.nan if v[0] is None else v[0] for step, v in curve.items() if len(v) == 1}
    time = datetime(2026, 1, 1) + timedelta(minutes=number if minute is None else minute)
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=state,
        value=None,
        values=None if values is None else list(values),
        datetime_start=datetime(2026, 1, 1),
        datetime_complete=time if state.is_finished() else None,
        params={"x": number / 1000 if x is None else x},
        distributions={"x": FloatDistribution(-2, 1)},
        user_attrs=user_attrs,
        system_attrs={**several, "constraints:cap": violation},
        intermediate_values=one,
    )


def begun(trial: FrozenTrial) -> FrozenTrial:
    return finished(trial.number, state=RUNNING, **trial.user_attrs)


def numbers(population: Population) -> list[int]:
    return [member.trial.number for member in population.members]


def select(
    trials: list[FrozenTrial],
    size: int = 20,
    directions: tuple[StudyDirection, ...] = (MINIMIZE, MINIMIZE),
) -> list[int]:
    population = Population(size, directions)
    population.update(trials)
    return numbers(population)


def test_complete_then_pruned_by_step_then_infeasible_by_violation() -> None:
    trials = [
        finished(0, state=PRUNED, violation=9.0),
        finished(1, state=PRUNED),
        finished(2, (0.0, 0.0), violation=0.5),
        finished(3, state=PRUNED, curve={1: (0.0, 0.0)}),
        finished(4, state=PRUNED, curve={1: (0.0, 0.0), 3: (9.0, 9.0)}),
        finished(5, (5.0, 5.0)),
        finished(6, (1.0, 1.0)),
    ]
    assert select(trials) == [6, 5, 4, 3, 1, 2, 0]


def test_pruned_trials_at_one_step_are_ordered_by_dominance() -> None:
    trials = [
        finished(0, state=PRUNED, curve={2: (3.0, 3.0)}),
        finished(1, state=PRUNED, curve={2: (1.0, 2.0)}),
        finished(2, state=PRUNED, curve={2: (2.0, 2.5)}),
    ]
    assert select(trials) == [1, 2, 0]


def test_one_objective_reads_intermediate_values() -> None:
    trials = [
        finished(0, state=PRUNED, curve={1: (0.9,)}),
        finished(1, state=PRUNED, curve={1: (0.1,), 2: (0.2,)}),
        finished(2, (0.3,)),
        finished(3, state=PRUNED, curve={2: (None,)}),
    ]
    assert select(trials, directions=(MAXIMIZE,)) == [2, 1, 3, 0]


def test_the_most_crowded_of_the_last_front_leaves() -> None:
    trials = [
        finished(i, v) for i, v in enumerate([(0.0, 4.0), (4.0, 0.0), (2.0, 2.0), (0.4, 3.5)])
    ]
    assert set(select(trials, size=3)) == {0, 1, 2}


def test_nan_and_infinite_values_are_worst_and_break_nothing() -> None:
    trials = [
        finished(0, (math.inf, -math.inf)),
        finished(1, (-math.inf, math.inf)),
        finished(2, (math.inf, math.inf)),
        finished(3, (0.0, 0.0)),
        finished(4, state=PRUNED, curve={2: (None, 1.0)}),
        finished(5, state=PRUNED, curve={2: (1.0, 0.5)}),
        finished(6, state=PRUNED, curve={2: (None, None)}),
    ]
    assert select(trials)[3:] == [2, 5, 4, 6]


def test_maximised_objectives_are_maximised() -> None:
    trials = [finished(0, (0.5, 3.0)), finished(1, (0.9, 2.0)), finished(2, (0.4, 4.0))]
    assert select(trials, size=1, directions=(MAXIMIZE, MINIMIZE)) == [1]


def test_failed_running_reused_and_empty_trials_do_not_count() -> None:
    empty = finished(3, (0.0, 0.0))
    empty.params, empty.distributions = {}, {}
    trials = [
        finished(0, state=FAIL),
        finished(1, state=RUNNING),
        finished(2, (0.0, 0.0), reused_from=4),
        empty,
        finished(4, (1.0, 1.0)),
    ]
    assert select(trials) == [4]


def test_equal_parameters_count_once_and_the_first_stays() -> None:
    trials = [finished(0, (1.0, 1.0), x=0.5), finished(1, (0.0, 0.0), x=0.5)]
    assert select(trials) == [0]


def test_a_continued_trial_is_replaced_along_the_whole_chain() -> None:
    trials = [
        finished(0, state=PRUNED, x=0.5, curve={1: (1.0, 1.0)}),
        finished(1, (5.0, 5.0)),
        finished(2, state=PRUNED, x=0.5, curve={3: (1.0, 1.0)}, continues=0),
        finished(3, (0.5, 0.5), x=0.5, continues=2),
        finished(4, state=FAIL, x=0.5, continues=3),
    ]
    assert select(trials[:3]) == [1, 2]
    assert select(trials) == [3, 1]


def test_a_member_that_left_does_not_stop_its_continuation() -> None:
    trials = [
        finished(0, state=PRUNED),
        finished(1, (1.0, 1.0)),
        finished(2, (0.0, 0.0), continues=0),
    ]
    assert select(trials, size=1) == [2]


@st.composite
def histories(draw: st.DrawFn) -> list[FrozenTrial]:
    small = st.integers(0, 4)
    trials = []
    for number in range(draw(st.integers(0, 14))):
        state = draw(st.sampled_from([COMPLETE, COMPLETE, PRUNED, FAIL]))
        pair = (float(draw(small)), float(draw(small)))
        attrs = {}
        if number and draw(st.booleans()) and draw(st.booleans()):
            attrs["continues"] = draw(st.integers(0, number - 1))
        trials.append(
            finished(
                number,
                pair if state == COMPLETE else None,
                state=state,
                x=draw(small) / 4 if draw(st.booleans()) else None,
                minute=draw(small),
                curve={draw(small): pair} if draw(st.booleans()) else None,
                violation=draw(st.sampled_from([0.0, 0.0, 0.5, 1.0])),
                **attrs,
            )
        )
    return trials


@given(histories(), st.data())
def test_the_members_follow_from_the_finished_trials_alone(
    trials: list[FrozenTrial], data: st.DataObject
) -> None:
    seen_bit_by_bit = Population(5, (MINIMIZE, MINIMIZE))
    running = {t.number for t in trials}
    while running:
        done = set(data.draw(st.lists(st.sampled_from(sorted(running)), min_size=1)))
        running -= done
        seen_bit_by_bit.update([begun(t) if t.number in running else t for t in trials])
    assert numbers(seen_bit_by_bit) == select(trials, size=5)


@given(histories())
def test_members_are_different_and_no_more_than_asked(trials: list[FrozenTrial]) -> None:
    population = Population(5, (MINIMIZE, MINIMIZE))
    population.update(trials)
    members = population.members
    assert len(members) <= 5
    assert len({m.genes for m in members}) == len({m.lineage for m in members}) == len(members)
    assert [m.level for m in members] == sorted(m.level for m in members)


@pytest.mark.parametrize("objectives", [1, 2, 3, 5])
def test_the_front_comes_first_and_stays(objectives: int) -> None:
    points = np.random.default_rng(0).random((60, objectives))
    front = set(np.flatnonzero(rank(points) == 0).tolist())
    trials = [finished(i, tuple(point)) for i, point in enumerate(points)]
    directions = (MINIMIZE,) * objectives
    assert set(select(trials, 60, directions)[: len(front)]) == front
    worst_first = [t for t in trials if t.number not in front] + [trials[i] for i in sorted(front)]
    again = [finished(i, tuple(t.values)) for i, t in enumerate(worst_first)]
    kept = select(again, max(len(front), 2), directions)
    assert {tuple(again[i].values) for i in kept} >= {tuple(points[i]) for i in front}


def test_a_study_made_anew_starts_afresh() -> None:
    population = Population(5, (MINIMIZE, MINIMIZE))
    population.update([finished(0, (0.0, 0.0)), finished(1, (1.0, 1.0))])
    population.update([finished(0, (2.0, 2.0))])
    assert numbers(population) == [0]
    assert population.members[0].losses == (2.0, 2.0)


def test_of_equal_parameters_the_one_that_got_further_is_kept() -> None:
    pruned = finished(0, state=PRUNED, curve={1: (0.0, 0.0)}, x=0.5)
    complete = finished(1, (1.0, 1.0), x=0.5)
    again = finished(2, state=PRUNED, curve={1: (0.0, 0.0)}, x=0.5)
    assert select([pruned, complete, again]) == [1]


def test_parameters_with_one_hash_are_not_taken_for_equal() -> None:
    assert hash(-1.0) == hash(-2.0)
    trials = [finished(0, (0.0, 1.0), x=-1.0), finished(1, (1.0, 0.0), x=-2.0)]
    assert sorted(select(trials)) == [0, 1]
