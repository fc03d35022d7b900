"""Convolutional stages, then stages of attention."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from counting import everything, placed

from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces import Hybrid


def test_attention_never_comes_before_a_convolutional_stage() -> None:
    space = Hybrid(stages=4, convolutional=(1, 3), depths=(1, 1))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    changes = set()
    for _ in range(60):
        trial = study.ask()
        kinds = [node.kind == "image_attention" for node in space(trial).nodes[1:5]]
        assert kinds == sorted(kinds)
        assert kinds.count(False) == trial.params["convolutional"]
        changes.add(kinds.count(False))
    assert changes == {1, 2, 3}


def test_counts_as_many_sets_of_parameters_as_documented() -> None:
    """In small: by the number of convolutional stages, ways to make each stage."""
    space = Hybrid(
        input_shape=(3, 2, 2),
        stages=3,
        convolutional=(1, 2),
        depths=(1, 1),
        kernels=(3,),
        expands=(3,),
        widths=(8,),
    )
    convolutional, attention = 2 + 2 + 2, 3 * 2
    expected = convolutional * attention**2 + convolutional**2 * attention
    assert len(everything(space)) == placed(0, 4) * expected
    documented = placed(4, 5) * sum(480**n * 96 ** (4 - n) for n in (1, 2, 3))
    assert f"{documented:.1e}" == "4.1e+11" and "(4.1e11)" in str(Hybrid.__doc__)
    assert (4 * 4 * (6 + 18 + 6), 4 * 4 * 3 * 2) == (480, 96)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"convolutional": (2, 1)}, r"convolutional=\(smallest, largest\) of at least 1"),
        ({"convolutional": (1, 4)}, r"below stages=4, got \(1, 4\)"),
        ({"operators": ("image_attention",)}, r"operators among \('conv', 'mbconv', 'convnext'\)"),
        ({"allowed": ("conv", "mbconv")}, "allowed to hold 'image_attention', which this"),
    ],
)
def test_bounds_that_allow_nothing_are_refused(bounds: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Hybrid(**bounds)
