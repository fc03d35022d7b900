"""Chains of fully connected layers."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.trial import FixedTrial

from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces import MLP

SHARED = {"norm": "batch", "activation": "gelu", "dropout_index": 1, "layers_index": 0}


def test_each_layer_has_its_width() -> None:
    widths = {"shared_width": False, "layer1.width_index": 0, "layer2.width_index": 3}
    assert MLP()(FixedTrial({**SHARED, **widths})).describe() == (
        "linear_f128_batch_gelu_dropout0.1 > linear_f1024_batch_gelu_dropout0.1 > classify"
    )


def test_a_shared_width_is_the_network_with_equal_widths() -> None:
    space = MLP()
    one = space(FixedTrial({**SHARED, "shared_width": True, "width_index": 2}))
    each = {"shared_width": False, "layer1.width_index": 2, "layer2.width_index": 2}
    assert space(FixedTrial({**SHARED, **each})).digest == one.digest


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"layers": ()}, "layers to hold different values"),
        ({"layers": (0, 2)}, r"layers of integers in \[1, inf\), got \(0, 2\)"),
        ({"widths": (-1,)}, "widths of integers"),
        ({"activations": ("tanh",)}, "activations among"),
        ({"norms": "batch-norm"}, r"norms among .* got \('batch-norm',\)"),
        ({"dropouts": (0.5, 1.0)}, r"dropouts of numbers in \[0.0, 1.0\), got \(0.5, 1.0\)"),
    ],
)
def test_bounds_that_allow_nothing_are_refused(bounds: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        MLP(**bounds)
