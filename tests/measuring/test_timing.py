"""The laws of a timing, on simulated machines, whose clock is simulated too."""

import math
from itertools import count

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optuna_nas.measuring.reference import WIDTHS, example, operators, reference
from optuna_nas.measuring.timing import (
    QUIET,
    Goal,
    Subject,
    clock_of,
    seconds_alone,
    time_in_turn,
)


class Network:
    """Runs in `seconds` on the quiet machine, in so many operators."""

    def __init__(self, seconds, operators=100):
        self.seconds, self.operators = seconds, operators

    def __call__(self):
        raise AssertionError("the simulated clock runs nothing")

    def subject(self, calibrated=False):
        calibrated = self.seconds if calibrated else math.nan
        return Subject(self, self.operators, calibrated, f"{1e3 * self.seconds:g} ms")


GOAL = Goal()
REFERENCES = [Network(seconds).subject(calibrated=True) for seconds in (4e-4, 1e-3, 2e-3, 5e-3)]


class Machine:
    """A machine on which the nth run of a network is slowed by slowdown(n, network)."""

    def __init__(self, slowdown, noise=0.01):
        self.slowdown, self.noise = slowdown, noise
        self.runs, self.rng = count(), np.random.default_rng(0)
        self.seconds = 0.0

    def clock(self, network):
        slowed = network.seconds * self.slowdown(next(self.runs), network)
        passed = slowed * math.exp(self.rng.normal(0, self.noise))
        self.seconds += passed
        return passed

    def now(self):
        return self.seconds

    def time(self, candidate, references=REFERENCES, goal=GOAL):
        return time_in_turn(candidate.subject(), references, self.clock, goal, self.now)

    def alone(self, networks, others):
        return seconds_alone(networks, self.clock, others, GOAL.limit, self.now)


@settings(deadline=None, max_examples=30)
@given(st.floats(1e-4, 2e-2), st.floats(0.5, 3))
def test_a_load_that_slows_everything_alike_cancels_out(seconds, slowdown):
    found = Machine(lambda *_: slowdown).time(Network(seconds))
    assert found.value == pytest.approx(1e3 * seconds, rel=0.02)
    assert found.slowdown == pytest.approx(slowdown, rel=0.02)
    assert found.settled


@settings(deadline=None, max_examples=30)
@given(st.floats(1e-4, 60), st.sampled_from([50.0, 95.0, 99.0]), st.floats(0.2, 5))
def test_a_network_that_never_settles_takes_a_small_multiple_of_the_limit(
    seconds, percentile, limit
):
    """Or five runs, where it is so slow: to warm up, to find its references, and to be timed."""
    machine = Machine(lambda run, _: 1.0 + run // 3 % 2, noise=0.3)
    goal = Goal(percentile, tolerance=0, limit=limit)
    found = machine.time(Network(seconds), goal=goal)
    assert not found.settled and found.passes >= 3
    assert machine.seconds < 2 * limit + 1 + 5 * 2 * 3 * seconds


@pytest.mark.parametrize(("seconds", "passes", "runs"), [(1.5e-3, 5, 30), (10.0, 3, 3)])
def test_slow_networks_take_few_runs(seconds, passes, runs):
    found = Machine(lambda *_: 1.0).time(Network(seconds))
    assert (found.passes, found.runs) == (passes, runs)
    assert found.value == pytest.approx(1e3 * seconds, rel=0.02)


def test_the_references_are_recorded():
    found = Machine(lambda *_: 1.0).time(Network(1.5e-3))
    assert found.references == {"1 ms": 1.0, "2 ms": 2.0}


@settings(deadline=None, max_examples=30)
@given(st.floats(5e-6, 5e-4), st.integers(20, 2000))
def test_small_operators_are_compared_with_small_operators(grain, operators):
    def slowdown(_, network):  # most for small operators, as beside a busy sibling of the core
        return 1.25 + 0.5 / (1 + network.seconds / network.operators / 2e-5)

    fine = [Network(1e-3, int(1e-3 / grain)) for grain in np.geomspace(5e-6, 5e-4, 15)]
    references = [network.subject(calibrated=True) for network in fine]
    candidate = Network(grain * operators, operators)
    found = Machine(slowdown).time(candidate, references)
    assert found.value == pytest.approx(1e3 * candidate.seconds, rel=0.04)


def test_bursts_that_slow_the_candidate_most_hardly_move_the_value():
    def slowdown(run, network):
        burst = run % 3000 > 2700
        return 1.0 if not burst else 3.0 if network.seconds == 3e-3 else 2.0

    found = Machine(slowdown).time(Network(3e-3), goal=Goal(limit=30, tolerance=0))
    assert found.value == pytest.approx(3.0, rel=0.01)
    assert found.slowdown <= QUIET


def test_passes_that_disagree_are_not_settled():
    def slowdown(run, network):
        return 1.0 + (run // 20 % 7) / 4 if network.seconds == 3e-3 else 1.0

    found = Machine(slowdown).time(Network(3e-3))
    assert not found.settled
    assert found.uncertainty > 0.02 * found.value


def test_percentiles_are_of_single_runs():
    goal = Goal(percentile=95, limit=30)
    found = Machine(lambda *_: 1.0, noise=0.1).time(Network(3e-3), goal=goal)
    assert found.value == pytest.approx(3 * math.exp(0.1 * 1.645), rel=0.1)
    assert found.p10 == pytest.approx(3 * math.exp(-0.1 * 1.28), rel=0.06)
    assert found.run_spread == pytest.approx(3 * 0.1 * 1.35, rel=0.3)


def test_calibration_takes_the_quietest_pass():
    networks = [Network(1e-3), Network(2e-3)]
    found, load = Machine(lambda run, _: 1.6 if run % 300 < 150 else 1.0).alone(
        networks, lambda: 0.0
    )
    assert found == pytest.approx([1e-3, 2e-3], rel=0.02)
    assert load == 0


def test_calibration_leaves_out_passes_beside_other_programs():
    networks, busy = [Network(1e-3), Network(2e-3)], count()
    assert Machine(lambda *_: 1.0).alone(networks, lambda: next(busy) % 3)[1] == 0
    assert Machine(lambda *_: 1.0).alone(networks, lambda: 1.5)[1] == 1.5


def test_references_differ_in_what_an_operator_takes():
    clock = clock_of("cpu")
    with torch.inference_mode():
        assert len({operators(reference(width), example()) for width in WIDTHS}) == 1
        narrow, wide = (
            min(clock(lambda n=n: n(example())) for _ in range(20))
            for n in map(reference, WIDTHS[::7])
        )
        assert narrow < wide  # by a factor of ten


def test_a_reference_is_always_the_same_network():
    first, second = reference(16), reference(16)
    for mine, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(mine, theirs)
