"""Stages of inverted residuals hold their constraints by construction."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from counting import everything, placed
from optuna.trial import FixedTrial

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces import MobileNet

SEPARABLE = {"operator": "separable", "squeeze": False, "depth": 2, "width_index": 0}
INVERTED = {
    "operator": "mbconv",
    "mbconv.expand_index": 2,
    "mbconv.kernel": 5,
    "squeeze": True,
    "depth": 1,
    "width_index": 1,
}


def draw(space: MobileNet, *stages: dict[str, Any], halved: tuple[bool, ...]) -> Architecture:
    params: dict[str, Any] = {"stem.downsample": halved[0]}
    for number, (stage, halving) in enumerate(zip(stages, halved[1:], strict=True), start=1):
        params |= {f"stage{number}.{name}": value for name, value in stage.items()}
        params[f"stage{number}.downsample"] = halving
    return space(FixedTrial(params))


def test_draws_the_stages_that_the_parameters_name() -> None:
    drawn = draw(MobileNet(stages=2), SEPARABLE, INVERTED, halved=(False, False, True))
    assert drawn.describe() == (
        "conv_c16_k3 > 2 x separable_c16_residual_k3"
        " > mbconv_c24_s2_e6_k5_se > conv_c256_k1 > classify"
    )
    assert [node.name for node in drawn.nodes] == [
        "stem",
        "stage1_block1",
        "stage1_block2",
        "stage2_block1",
        "head",
        "classify",
    ]


def test_equal_stages_in_a_row_are_one_network_however_they_are_cut() -> None:
    space, longer = MobileNet(stages=2), {**SEPARABLE, "depth": 3}
    one = draw(space, SEPARABLE, longer, halved=(True, False, False))
    other = draw(space, longer, SEPARABLE, halved=(True, False, False))
    assert one.digest == other.digest
    halved = draw(space, longer, SEPARABLE, halved=(True, False, True))
    assert halved.digest != one.digest


def test_counts_as_many_sets_of_parameters_as_documented() -> None:
    """In small: ways to make a stage, times ways to place the halvings that two pixels allow."""
    space = MobileNet(
        input_shape=(3, 2, 2), stages=2, depths=(1, 2), expands=(3, 6), kernels=(3, 5), widths=(8,)
    )
    drawn = everything(space)
    ways = 2 * (1 + 2 * 2) * 2  # depth, operator with what it asks, squeeze
    assert len(drawn) == placed(1, 3) * ways**2
    assert len({architecture.digest for architecture in drawn}) < len(drawn)
    assert (placed(5, 7), 4 * 4 * (1 + 3 * 3) * 2) == (120, 320)


def test_never_halves_the_last_pixel() -> None:
    space = MobileNet(input_shape=(3, 4, 1))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(100):
        trial = study.ask()
        strides = [node.args.get("stride", 1) for node in space(trial).nodes]
        assert strides.count(2) <= 2
        assert sum(name.endswith("downsample") for name in trial.params) <= 7


def test_places_where_all_must_halve_are_not_asked() -> None:
    space = MobileNet(input_shape=(3, 8, 8), stages=2, downsample=(True,))
    trial = optuna.create_study().ask()
    strides = [node.args["stride"] for node in space(trial).nodes if node.name.endswith("block1")]
    assert strides == [2, 2]
    assert not any("downsample" in name for name in trial.params)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"input_shape": (8,)}, r"input_shape=\(C, L\) or \(C, H, W\), got \(8,\)"),
        ({"stages": 0}, r"stages of integers in \[1, inf\), got \(0,\)"),
        ({"depths": (2, 1)}, r"depths=\(smallest, largest\) of at least 1, got \(2, 1\)"),
        ({"operators": ("conv",)}, r"operators among \('separable', 'mbconv'\), got"),
        ({"expands": (0, 3)}, r"expands of integers in \[1, inf\)"),
        ({"kernels": (3, 4)}, r"kernels to be odd, such as \(3, 5, 7\), got \(3, 4\)"),
        ({"squeeze": (0, 1)}, "squeeze among"),
        ({"widths": ()}, "widths to hold different values"),
        ({"downsample": (True,)}, r"at least 65 pixels, which 7 halvings need, got input_shape"),
        ({"stem": (0,)}, "stem of integers"),
        ({"head": (1.5,)}, "head of integers"),
    ],
)
def test_bounds_that_allow_nothing_are_refused(bounds: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        MobileNet(**bounds)
