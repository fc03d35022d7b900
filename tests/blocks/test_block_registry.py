"""Finding blocks by kind."""

from __future__ import annotations

import pytest

from optuna_nas.blocks import BLOCKS, Block, Conv, find, register
from optuna_nas.exceptions import DescriptionError, SpaceError


def test_finds_a_block_by_its_kind() -> None:
    assert find("conv") is Conv


def test_an_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(SpaceError, match=r"among \['add', .*'separable'.*\], got 'convolution'"):
        find("convolution")


def test_a_kind_belongs_to_one_block() -> None:
    with pytest.raises(DescriptionError, match="'conv', which is Conv"):
        register("conv")(type("Other", (Block,), {}))
    assert BLOCKS["conv"] is Conv


def test_registering_a_class_again_replaces_it() -> None:
    """As when a notebook's cell is run twice."""
    first, second = (type("Mine", (Block,), {}) for _ in range(2))
    try:
        register("mine")(first)
        assert register("mine")(second) is second
        assert find("mine") is second
    finally:
        del BLOCKS["mine"]
