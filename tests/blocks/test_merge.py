"""Sums of branches."""

from __future__ import annotations

import pytest
import torch

from optuna_nas.blocks import Add
from optuna_nas.exceptions import SpaceError


def test_adds_all_its_inputs() -> None:
    x, y, z = torch.randn(3, 2, 4)
    torch.testing.assert_close(Add((4,), (4,), (4,))(x, y, z), x + y + z)


def test_refuses_inputs_of_different_shapes() -> None:
    with pytest.raises(SpaceError, match=r"one shape, got \(4,\), \(5,\)"):
        Add((4,), (5,))
