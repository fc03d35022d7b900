"""Spaces restricted to kinds of blocks."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces import CNN, SPACES, Hybrid, MobileNet
from optuna_nas.spaces.draws import random_trials

RESTRICTED = [
    ("cnn", ("separable",)),
    ("mobilenet", ("conv", "mbconv")),
    ("macro", ("conv", "convnext")),
    ("hybrid", ("conv", "image_attention", "mbconv")),
    ("darts", ("add", "concat", "conv", "factorized_reduce", "pool", "relu_conv")),
]


@pytest.mark.parametrize(("name", "allowed"), RESTRICTED)
def test_every_block_but_the_head_is_allowed(name: str, allowed: tuple[str, ...]) -> None:
    space = SPACES[name](allowed=allowed)
    kinds = {n.kind for trial in islice(random_trials(0), 30) for n in space(trial).nodes[:-1]}
    assert kinds == set(allowed)


@pytest.mark.parametrize(("name", "allowed"), RESTRICTED)
def test_all_kinds_are_no_restriction(name: str, allowed: tuple[str, ...]) -> None:
    from optuna_nas.blocks import BLOCKS

    one, other = SPACES[name](), SPACES[name](allowed=tuple(BLOCKS))
    for first, second in islice(zip(random_trials(0), random_trials(0), strict=False), 5):
        assert one(first) == other(second)


@pytest.mark.parametrize(
    ("space", "arguments", "message"),
    [
        (CNN, {"allowed": ("linear",)}, r"one at least of \('conv', 'separable'\), got"),
        (CNN, {"allowed": ("convolution",)}, "allowed among .*'conv', .* got"),
        (CNN, {"allowed": ("conv",), "operators": ("separable",)}, "allowed to hold one at least"),
        (MobileNet, {"allowed": ("mbconv",)}, "allowed to hold 'conv', which every network"),
        (Hybrid, {"allowed": ("conv",)}, "'image_attention', which every"),
    ],
)
def test_what_leaves_nothing_is_refused(
    space: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        space(**arguments)
