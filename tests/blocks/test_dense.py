"""What linear layers refuse, and where their bias is."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from optuna_nas.blocks import Linear
from optuna_nas.exceptions import SpaceError


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"norm": "group"}, "norm among .* got 'group'"),
        ({"activation": "tanh"}, "activation among .* got 'tanh'"),
        ({"dropout": 1.0}, "0 <= dropout < 1, got dropout=1.0"),
    ],
)
def test_refuses_unknown_options(args: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Linear((4,), features=8, **args)


def test_flattens_images() -> None:
    assert Linear((3, 4, 4), features=8)(torch.zeros(2, 3, 4, 4)).shape == (2, 8)


@pytest.mark.parametrize(("norm", "biased"), [("none", True), ("batch", False), ("layer", False)])
def test_has_a_bias_where_no_norm_has_one(norm: str, biased: bool) -> None:
    assert (Linear((4,), features=8, norm=norm).linear.bias is not None) == biased
