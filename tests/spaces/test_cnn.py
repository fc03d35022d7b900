"""Chains of convolutions hold their constraints by construction."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import optuna
import pytest
from counting import everything
from optuna.trial import FixedTrial

from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces import CNN


def count(space: CNN) -> int:
    """Sets of parameters of a space, counted block by block: by channels and pixels that come."""
    fixed = len(space.operators) * len(space.kernels) * len(space.squeeze)
    sizes = max(space.input_shape[1:])

    @cache
    def ways(blocks: int, incoming: int, pixels: int) -> int:
        if not blocks:
            return 1
        total = 0
        for channels, stride in product(space.channels, space.strides):
            if stride <= pixels:
                fits = stride == 1 and channels == incoming
                after = ways(blocks - 1, channels, -(-pixels // stride))
                total += fixed * (len(space.residual) if fits else 1) * after
        return total

    smallest, largest = space.blocks
    return sum(ways(n, space.input_shape[0], sizes) for n in range(smallest, largest + 1))


@pytest.mark.parametrize(
    "space",
    [
        CNN(input_shape=(4, 3, 3), blocks=(1, 2), channels=(4, 8), kernels=(3,), squeeze=(False,)),
        CNN(
            input_shape=(4, 1, 5), blocks=(2, 2), channels=(4, 8), kernels=(3,), strides=(1, 2, 3)
        ),
        CNN(input_shape=(8, 6), blocks=(1, 2), channels=(4, 8), kernels=(3,), squeeze=(True,)),
    ],
)
def test_no_two_sets_of_parameters_are_one_network(space: CNN) -> None:
    drawn = everything(space)
    assert len({architecture.digest for architecture in drawn}) == len(drawn) == count(space)
    assert len(drawn) > 100


def test_there_are_as_many_sets_of_parameters_as_documented() -> None:
    assert f"{count(CNN()):.1e}" == "1.5e+16"
    assert "1.5e16" in str(CNN.__doc__)


def test_draws_the_chain_that_the_parameters_name() -> None:
    space = CNN(input_shape=(1, 8, 8), blocks=(2, 3), channels=(8, 16, 64))
    trial = FixedTrial(
        {
            "blocks": 2,
            "block1.operator": "conv",
            "block1.channels_index": 2,
            "block1.kernel": 5,
            "block1.stride": 2,
            "block1.squeeze": False,
            "block2.operator": "separable",
            "block2.channels_index": 2,
            "block2.kernel": 3,
            "block2.stride": 1,
            "block2.residual": True,
            "block2.squeeze": True,
        }
    )
    expected = "conv_c64_k5_s2 > separable_c64_k3_residual_se > classify"
    assert space(trial).describe() == expected


def test_never_strides_over_the_last_pixel() -> None:
    space = CNN(input_shape=(1, 8, 2), blocks=(5, 5), strides=(2, 3, 1), channels=(4,))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(200):
        pixels = 8
        for node in space(study.ask()).nodes[:-1]:
            assert node.args["stride"] <= pixels
            pixels = -(-pixels // node.args["stride"])


def test_a_choice_of_fewer_strides_has_a_name_of_its_own() -> None:
    space = CNN(input_shape=(1, 2, 2), blocks=(1, 1), strides=(1, 2, 4), channels=(4,))
    trial = optuna.create_study().ask()
    space(trial)
    assert "block1.stride_to_2" in trial.params


def test_a_residual_is_asked_for_only_where_it_holds() -> None:
    space = CNN(input_shape=(8, 4, 4), blocks=(3, 3), channels=(8, 16))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(100):
        trial = study.ask()
        incoming = 8
        for number, node in enumerate(space(trial).nodes[:-1], start=1):
            fits = node.args["stride"] == 1 and node.args["channels"] == incoming
            assert (f"block{number}.residual" in trial.params) == fits
            incoming = node.args["channels"]


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"input_shape": (8,)}, r"input_shape=\(C, L\) or \(C, H, W\), got \(8,\)"),
        ({"input_shape": (1, 3, 8, 8)}, r"\(C, L\) or \(C, H, W\), got \(1, 3, 8, 8\)"),
        ({"input_shape": (3, 0, 8)}, r"input_shape=\(C, L\) or \(C, H, W\), got \(3, 0, 8\)"),
        ({"blocks": (4, 3)}, r"blocks=\(smallest, largest\) of at least 1, got \(4, 3\)"),
        ({"blocks": (0, 3)}, r"blocks=\(smallest, largest\)"),
        ({"blocks": (3,)}, r"blocks=\(smallest, largest\)"),
        ({"channels": ()}, "channels to hold different values"),
        ({"channels": (8, 8)}, "channels to hold different values"),
        ({"channels": (8.0, 16)}, "channels of integers"),
        ({"channels": (0, 8)}, r"channels of integers in \[1, inf\)"),
        ({"kernels": (3, 4)}, r"kernels to be odd, such as \(3, 5, 7\), got \(3, 4\)"),
        ({"operators": ("conv", "mbconv")}, r"operators among \('conv', 'separable'\), got"),
        ({"residual": ("yes",)}, "residual among"),
        ({"squeeze": (0, 1)}, "squeeze among"),
        ({"strides": (2,)}, r"strides that leave pixels after 8 blocks, got strides=\(2,\)"),
    ],
)
def test_bounds_that_allow_nothing_are_refused(bounds: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        CNN(**bounds)
