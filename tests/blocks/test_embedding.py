"""Sequences of vectors from token ids and images, and their positions."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from optuna_nas.blocks import ClassToken, Crop, Patches, Position, Projection, Readout, Tokens
from optuna_nas.exceptions import SpaceError


def test_a_token_has_one_vector_wherever_it_is() -> None:
    y = Tokens((3,), vocabulary=5, features=4)(torch.tensor([[1, 4, 1]]))
    assert torch.equal(y[0, 0], y[0, 2]) and not torch.equal(y[0, 0], y[0, 1])


def test_patches_are_read_line_by_line() -> None:
    block = Patches((1, 4, 6), size=2, features=1)
    torch.nn.init.ones_(block.conv.weight)
    torch.nn.init.zeros_(block.conv.bias)
    x = torch.zeros(1, 1, 4, 6)
    x[0, 0, 2:, 4:] = 1  # the last patch
    assert block(x).flatten().tolist() == [0, 0, 0, 0, 0, 4]
    assert block.output_shape((1, 4, 6)) == (6, 1)


def test_sinusoids_are_those_of_the_paper() -> None:
    found = Position((6, 4), encoding="sinusoidal")(torch.zeros(1, 6, 4))[0]
    for t in range(6):
        expected = [math.sin(t), math.sin(t / 100), math.cos(t), math.cos(t / 100)]
        torch.testing.assert_close(found[t], torch.tensor(expected))


def test_sinusoids_have_any_width_and_no_parameters() -> None:
    block = Position((6, 5), encoding="sinusoidal")
    assert block(torch.zeros(1, 6, 5)).shape == (1, 6, 5)
    assert not [*block.parameters(), *block.state_dict()]


@pytest.mark.parametrize("encoding", ["learned", "sinusoidal"])
def test_positions_begin_anew_in_each_context(encoding: str) -> None:
    y = Position((6, 4), encoding=encoding, context=3)(torch.zeros(1, 6, 4))
    assert torch.equal(y[:, :3], y[:, 3:])
    assert not torch.equal(y[:, 0], y[:, 1])


def test_the_class_token_comes_first() -> None:
    block, x = ClassToken((3, 4)), torch.randn(2, 3, 4)
    y = block(x)
    assert torch.equal(y[:, 1:], x)
    assert torch.equal(y[:, 0], block.token.expand(2, 4))


def test_a_crop_keeps_the_last() -> None:
    x = torch.randn(2, 5, 4)
    assert torch.equal(Crop((5, 4), length=2)(x), x[:, 3:])


def test_readouts_answer_once_or_at_each_position() -> None:
    x = torch.randn(2, 5, 4)
    for pool, chosen in {"mean": x.mean(1), "first": x[:, 0]}.items():
        block = Readout((5, 4), outputs=3, pool=pool, norm="none")
        torch.testing.assert_close(block(x), block.linear(chosen))
    block = Readout((5, 4), outputs=3, pool="each", norm="layer")
    torch.testing.assert_close(block(x)[:, :, 2], block.linear(block.norm(x[:, 2])))


@pytest.mark.parametrize(
    ("block", "shape", "args", "message"),
    [
        (Tokens, (3, 4), {"vocabulary": 5, "features": 4}, r"token ids \(T,\), got \(3, 4\)"),
        (Projection, (3,), {"features": 4}, r"sequence of vectors \(T, C\), got \(3,\)"),
        (Patches, (1, 4, 6), {"size": 4, "features": 4}, r"size=4 divides, got \(1, 4, 6\)"),
        (Position, (6, 4), {"encoding": "rotary"}, "encoding among"),
        (Position, (6, 4), {"context": 4}, "context that divides a length of 6, got 4"),
        (Crop, (6, 4), {"length": 7}, "length of 1 to 6, got length=7"),
        (Readout, (6, 4), {"outputs": 2, "pool": "last"}, "pool among"),
    ],
)
def test_inputs_and_arguments_that_do_not_fit_are_refused(
    block: Any, shape: tuple[int, ...], args: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        block(shape, **args)
