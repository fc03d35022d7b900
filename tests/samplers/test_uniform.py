from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from optuna_nas.exceptions import SpaceError
from optuna_nas.samplers.uniform import uniform

whole = st.integers(-(2**50), 2**50)  # Optuna stores them as floats
real = st.floats(-1e6, 1e6)


@st.composite
def distributions(draw: st.DrawFn) -> BaseDistribution:
    kind = draw(st.sampled_from(["choices", "int", "int log", "float", "float log", "float step"]))
    if kind == "choices":
        return CategoricalDistribution(draw(st.lists(st.integers(), min_size=1, unique=True)))
    if kind == "int":
        low, high = sorted((draw(whole), draw(whole)))
        # Optuna lowers the upper end to a multiple of the step, with a warning.
        step = draw(st.integers(1, 7))
        return IntDistribution(low, high - (high - low) % step, step=step)
    if kind == "int log":
        low, high = sorted(draw(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6))))
        return IntDistribution(low, high, log=True)
    if kind == "float log":
        low, high = sorted(draw(st.tuples(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9))))
        return FloatDistribution(low, high, log=True)
    if kind == "float":
        low, high = sorted((draw(real), draw(real)))
        return FloatDistribution(low, high)
    low, step, count = draw(st.integers(-9, 9)), draw(st.sampled_from([0.25, 0.5, 2.0])), 11
    return FloatDistribution(low, low + step * draw(st.integers(0, count)), step=step)


@given(distributions(), st.integers(0, 2**32))
def test_a_draw_lies_in_its_distribution_and_is_a_plain_number(
    distribution: BaseDistribution, seed: int
) -> None:
    value = uniform(distribution, np.random.default_rng(seed))
    assert distribution._contains(distribution.to_internal_repr(value))
    assert type(value) in (int, float)


@pytest.mark.parametrize(
    "distribution",
    [
        CategoricalDistribution(("a", "b", "c", "d")),
        IntDistribution(1, 4),
        IntDistribution(2, 8, step=2),
        FloatDistribution(0.5, 2.0, step=0.5),
    ],
)
def test_every_choice_is_equally_likely(distribution: BaseDistribution) -> None:
    rng = np.random.default_rng(0)
    seen = Counter(uniform(distribution, rng) for _ in range(4000))
    assert len(seen) == 4
    assert all(900 < count < 1100 for count in seen.values())


def test_a_logarithmic_range_is_uniform_in_the_logarithm() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([uniform(FloatDistribution(1e-4, 1.0, log=True), rng) for _ in range(4000)])
    assert 0.47 < np.mean(drawn < 1e-2) < 0.53


def test_an_unknown_distribution_is_refused() -> None:
    class Foreign(BaseDistribution):
        def to_internal_repr(self, param_value_in_external_repr: float) -> float:
            return param_value_in_external_repr

        def single(self) -> bool:
            return False

        def _contains(self, param_value_in_internal_repr: float) -> bool:
            return True

    with pytest.raises(SpaceError, match=r"expected a categorical.*got Foreign"):
        uniform(Foreign(), np.random.default_rng(0))
