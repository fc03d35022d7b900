"""Spaces restricted to kinds of blocks."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from optuna_nas.blocks import BLOCKS
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces import (
    CNN,
    DARTS,
    MLP,
    SPACES,
    Hybrid,
    MobileNet,
    NASBench101,
    NASBench201,
    Transformer,
    ViT,
)
from optuna_nas.spaces.draws import random_trials

RESTRICTED = [
    ("cnn", ("separable",)),
    ("mobilenet", ("conv", "mbconv")),
    ("macro", ("conv", "convnext")),
    ("hybrid", ("conv", "image_attention", "mbconv")),
    ("darts", ("add", "concat", "conv", "factorized_reduce", "pool", "relu_conv")),
    ("mlp", ("linear",)),
    ("nasbench101", ("add", "concat", "conv", "pool", "truncate")),
    ("nasbench201", ("add", "batch_norm", "conv", "reduction", "relu_conv")),
    ("transformer", ("attention", "feed_forward", "tokens")),
    ("vit", ("attention", "class_token", "feed_forward", "patches")),
]


@pytest.mark.parametrize(("name", "allowed"), RESTRICTED)
def test_every_block_but_the_head_is_allowed(name: str, allowed: tuple[str, ...]) -> None:
    space = SPACES[name](allowed=allowed)
    kinds = {n.kind for trial in islice(random_trials(0), 30) for n in space(trial).nodes[:-1]}
    assert kinds == set(allowed)


def test_every_registered_space_is_here() -> None:
    assert {name for name, _ in RESTRICTED} == set(SPACES)


def test_what_only_some_networks_need_is_left_out_with_its_choices() -> None:
    kinds = ("add", "batch_norm", "conv", "pool", "reduction", "relu_conv")
    assert "none" in NASBench201(allowed=kinds).operators
    assert "none" not in NASBench201(allowed=kinds, keep_dead=True).operators
    assert NASBench101(stacks=1, allowed=("add", "concat", "conv", "truncate")).operators == (
        "conv1x1-bn-relu",
        "conv3x3-bn-relu",
    )
    encoder = Transformer(
        decoder=False,
        contexts=(16, 32),
        allowed=("attention", "feed_forward", "position", "tokens"),
    )
    assert (encoder.contexts, encoder.embeddings, encoder.pools) == ((32,), (64,), ("mean",))


@pytest.mark.parametrize(("name", "allowed"), RESTRICTED)
def test_all_kinds_are_no_restriction(name: str, allowed: tuple[str, ...]) -> None:
    one, other = SPACES[name](), SPACES[name](allowed=tuple(BLOCKS))
    for first, second in islice(zip(random_trials(0), random_trials(0), strict=False), 5):
        assert one(first) == other(second)


@pytest.mark.parametrize(
    ("space", "arguments", "message"),
    [
        (CNN, {"allowed": ("linear",)}, r"one at least of \('conv', 'separable'\), got"),
        (CNN, {"allowed": ("convolution",)}, "allowed among .*'conv', .* got"),
        (CNN, {"allowed": ("conv",), "operators": ("separable",)}, "allowed to hold one at least"),
        (MLP, {"allowed": ("conv",)}, "hold 'linear', which this space"),
        (MLP, {"allowed": ("linear",), "categories": {0: 3}}, "hold 'embed_columns', which"),
        (DARTS, {"allowed": ("conv",)}, "hold 'add', 'concat', 'factorized_reduce', 'relu_conv'"),
        (DARTS, {"allowed": tuple(BLOCKS), "operators": ("none",)}, "beside 'none'"),
        (NASBench101, {"allowed": ("add", "concat", "conv", "truncate")}, "hold 'pool', which"),
        (
            NASBench101,
            {"allowed": ("conv",), "vertices": 2, "stacks": 1, "operators": ("maxpool3x3",)},
            r"one at least of \('pool',\), got \('conv',\), which leaves none of",
        ),
        (
            NASBench201,
            {
                "allowed": ("add", "batch_norm", "conv", "reduction"),
                "operators": ("none", "avg_pool_3x3"),
            },
            "operators of which one does something",
        ),
        (Transformer, {"allowed": ("attention", "feed_forward")}, "hold 'tokens', which"),
        (
            Transformer,
            {"allowed": ("attention", "feed_forward", "tokens"), "positions": ("learned",)},
            r"one at least of \('position',\)",
        ),
        (
            Transformer,
            {"allowed": ("attention", "feed_forward", "tokens"), "embeddings": (8, 16)},
            r"one at least of \('projection',\), .* none of \(8, 16\)",
        ),
        (
            ViT,
            {"allowed": ("attention", "feed_forward", "patches"), "pools": ("first",)},
            r"one at least of \('class_token',\)",
        ),
        (MobileNet, {"allowed": ("mbconv",)}, "allowed to hold 'conv', which this space"),
        (Hybrid, {"allowed": ("conv",)}, "'image_attention', which this space"),
    ],
)
def test_what_leaves_nothing_is_refused(
    space: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        space(**arguments)
