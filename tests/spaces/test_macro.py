"""Stages that choose a block each."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from counting import everything, placed
from optuna.trial import FixedTrial

from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces import Macro

STAGES: tuple[dict[str, Any], ...] = (
    {"operator": "conv", "conv.kernel": 5, "conv.squeeze": True},
    {
        "operator": "mbconv",
        "mbconv.kernel": 3,
        "mbconv.expand_index": 2,
        "mbconv.squeeze": False,
    },
    {"operator": "convnext", "convnext.kernel": 7, "convnext.ratio": 4},
    {"operator": "image_attention", "image_attention.heads_index": 2, "image_attention.ratio": 2},
)


def test_draws_the_stages_that_the_parameters_name() -> None:
    params: dict[str, Any] = {"stem.downsample": True}
    for number, stage in enumerate(STAGES, start=1):
        place = {"downsample": number > 2, "depth": 1 + number // 4, "width": 32 * (number - 1)}
        place["width"] = max(32, place["width"])
        params |= {f"stage{number}.{name}": v for name, v in {**place, **stage}.items()}
    assert Macro()(FixedTrial(params)).describe() == (
        "conv_c32_k3_s2 > conv_c32_residual_k5_se > mbconv_c32_residual_k3_e6"
        " > convnext_c64_s2_k7_e4 > image_attention_c96_s2_h8_e2 > image_attention_c96_h8_e2"
        " > conv_c256_k1 > classify"
    )


def test_counts_as_many_sets_of_parameters_as_documented() -> None:
    """In small: ways to make a stage, times ways to place the halving that four pixels bear."""
    space = Macro(
        input_shape=(3, 4, 4), stages=2, depths=(1, 2), kernels=(3,), expands=(3,), widths=(8, 16)
    )
    ways = 2 * 2 * (2 + 2 + 2 + 3 * 2)  # depth, width; conv, mbconv, convnext, attention
    drawn = everything(space)
    assert len(drawn) == placed(1, 3) * ways**2
    assert len({architecture.digest for architecture in drawn}) < len(drawn)
    assert (placed(4, 5), 4 * 4 * (3 * 2 + 3 * 3 * 2 + 3 * 2 + 3 * 2)) == (31, 576)
    assert f"{31 * 576**4:.1e}" == "3.4e+12" and "31 x 576^4 (3.4e12)" in str(Macro.__doc__)


def test_heads_divide_the_width_and_are_named_by_it() -> None:
    space = Macro(operators=("image_attention",), stages=1, widths=(24, 32), heads=(4, 6, 8))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(100):
        trial = study.ask()
        for node in space(trial).nodes:
            if node.kind == "image_attention":
                assert node.args["channels"] % node.args["heads"] == 0
                seen.add((node.args["channels"], node.args["heads"]))
        assert ("stage1.image_attention.heads_of_32" in trial.params) == (
            space(FixedTrial(trial.params)).nodes[1].args["channels"] == 32
        )
    assert seen == {(24, 4), (24, 6), (24, 8), (32, 4), (32, 8)}


def test_halving_leaves_two_positions_to_attend_to() -> None:
    space = Macro(input_shape=(1, 5, 1), stages=3)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    halvings = {
        sum(node.args.get("stride", 1) == 2 for node in space(study.ask()).nodes)
        for _ in range(100)
    }
    assert halvings == {0, 1, 2}  # of 5 pixels: 3, then 2


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"input_shape": (8,)}, r"input_shape=\(C, L\) or \(C, H, W\)"),
        ({"input_shape": (3, 1, 1)}, r"at least 2 pixels, .* got input_shape=\(3, 1, 1\)"),
        ({"operators": ("separable",)}, "operators among .*'image_attention'.* got"),
        ({"ratios": (0,)}, r"ratios of integers in \[1, inf\)"),
        ({"heads": (5,)}, r"divides each of widths=\(32, 64, 96, 128\), got heads=\(5,\)"),
        ({"heads": (3,)}, "none for 32"),
        ({"downsample": (True,), "stages": 5}, "at least 65 pixels, which 6 halvings need"),
        ({"allowed": ()}, "allowed to hold different values"),
    ],
)
def test_bounds_that_allow_nothing_are_refused(bounds: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Macro(**bounds)
