"""Sums of branches."""

from __future__ import annotations

import pytest
import torch

from optuna_nas.blocks import Add, Concat
from optuna_nas.exceptions import SpaceError


def test_adds_all_its_inputs() -> None:
    x, y, z = torch.randn(3, 2, 4)
    torch.testing.assert_close(Add((4,), (4,), (4,))(x, y, z), x + y + z)


def test_refuses_inputs_of_different_shapes() -> None:
    with pytest.raises(SpaceError, match=r"one shape, got \(4,\), \(5,\)"):
        Add((4,), (5,))


def test_joins_channels_in_order() -> None:
    x, y = torch.randn(2, 1, 3), torch.randn(2, 4, 3)
    torch.testing.assert_close(Concat((1, 3), (4, 3))(x, y), torch.cat((x, y), dim=1))


def test_refuses_to_join_inputs_that_differ_in_more_than_channels() -> None:
    with pytest.raises(SpaceError, match=r"in channels alone, got \(1, 3\), \(4, 2\)"):
        Concat((1, 3), (4, 2))
