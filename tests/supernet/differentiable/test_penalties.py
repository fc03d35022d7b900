"""Penalties are what they say, and have the gradients of it."""

from __future__ import annotations

import pytest
import torch
from mixing import CELLS, relaxed, table

from optuna_nas.exceptions import DescriptionError, MeasurementError
from optuna_nas.predictors import LatencyTable
from optuna_nas.supernet import Entropy, ExpectedLatency

RELAXATION = relaxed(CELLS)
NUMBERS = range(len(RELAXATION.choices))


def uniform() -> list[torch.Tensor]:
    return [torch.full((5,), 0.2, requires_grad=True) for _ in NUMBERS]


def one(options) -> list[torch.Tensor]:
    return [torch.eye(5)[option].requires_grad_() for option in options]


def test_entropy_is_one_where_all_are_equal_and_none_where_one_has_all() -> None:
    term = Entropy(0.5).of(RELAXATION)
    assert term(uniform(), 1.0).item() == pytest.approx(0.5)
    assert term(uniform(), 0.5).item() == pytest.approx(0.25)
    assert term(one([0] * 6), 1.0).item() == 0.0


def test_expected_latency_is_the_predicted_one_where_one_has_all() -> None:
    timed = table(1.5)
    term = ExpectedLatency(timed, weight=0.1).of(RELAXATION)
    rest = None
    for options in ([3, 3, 3, 3, 3, 3], [2, 3, 3, 3, 3, 3], [4, 2, 3, 2, 4, 2]):
        network = RELAXATION.discrete(dict(enumerate(options)))
        blocks = [c for c in timed.configurations(network) if c.kind in ("relu_conv", "pool")]
        assert term(one(options), 0.0).item() == pytest.approx(0.1 * timed.costs(blocks).sum())
        common = timed.predict([network])[0][0] - timed.costs(blocks).sum()
        rest = common if rest is None else rest
        assert common == pytest.approx(rest)


def test_its_gradient_is_the_time_of_each_operator() -> None:
    timed, weights = table(), uniform()
    ExpectedLatency(timed, weight=2.0).of(RELAXATION)(weights, 0.0).backward()
    blocks = list(timed.blocks)
    known = dict(zip(blocks, timed.costs(blocks), strict=True))
    for choice, weight in zip(RELAXATION.choices, weights, strict=True):
        wanted = [0.0] * 5
        for node, operators in choice.operators.items():
            for option, operator in enumerate(operators):
                configuration = RELAXATION.configuration(node, operator)
                wanted[option] += 0.0 if configuration is None else known[configuration]
        assert weight.grad.tolist() == pytest.approx([2.0 * ms for ms in wanted])
        assert wanted[0] == wanted[1] == 0 < min(wanted[2:])


def test_what_a_table_cannot_say_is_an_error_before_training() -> None:
    timed = table()
    pool = next(c for c in timed.blocks if c.kind == "pool")
    del timed.blocks[pool]
    with pytest.raises(MeasurementError, match=r"not, such as pool .*complete"):
        ExpectedLatency(timed).of(RELAXATION)
    other = LatencyTable((3, 8, 8), 10, device={"name": "pretended"}, backend_version="1")
    with pytest.raises(MeasurementError, match=r"inputs of \(1, 4, 4\), got one for \(3, 8, 8\)"):
        ExpectedLatency(other).of(RELAXATION)


@pytest.mark.parametrize("penalty", [Entropy, lambda weight: ExpectedLatency(table(), weight)])
def test_a_penalty_has_a_weight(penalty) -> None:
    with pytest.raises(DescriptionError, match="weight above 0, got weight=0"):
        penalty(0.0)
