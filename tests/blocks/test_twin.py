"""Copies of untrained modules are what constructing them again would make."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from optuna_nas.blocks import BLOCKS
from optuna_nas.blocks.twin import layer, twin
from optuna_nas.blocks.usual import usual


def shapes(module: nn.Module) -> dict[str, tuple[torch.Size, torch.dtype, torch.device]]:
    return {name: (t.shape, t.dtype, t.device) for name, t in module.state_dict().items()}


@pytest.mark.parametrize("kind", sorted(BLOCKS))
def test_every_block_has_a_twin_with_parameters_of_its_own(kind: str) -> None:
    copied = 0
    with torch.device("meta"):
        for block, inputs in usual(BLOCKS[kind]):
            other, copied = twin(block), copied + 1
            assert repr(other) == repr(block)
            assert shapes(other) == shapes(block)
            assert other.output_shape(*inputs) == block.output_shape(*inputs)
            assert not set(map(id, block.modules())) & set(map(id, other.modules()))
            assert not set(map(id, block.parameters())) & set(map(id, other.parameters()))
    assert copied


def test_what_is_held_twice_stays_one() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
            self.second.weight = self.first.weight
            self.parts = [self.first, self.second.bias]
            self.first.bias.requires_grad_(False)

    with torch.device("meta"):
        copy = twin(Tied())
    assert copy.second.weight is copy.first.weight
    assert copy.parts[0] is copy.first
    assert copy.parts[1] is copy.second.bias
    assert not copy.first.bias.requires_grad
    assert copy.second.bias.requires_grad


def test_a_layer_is_constructed_with_weights_and_copied_without() -> None:
    torch.manual_seed(0)
    drawn = layer(nn.Conv2d, 2, 4, 3, bias=False)
    torch.manual_seed(0)
    torch.testing.assert_close(drawn.weight, nn.Conv2d(2, 4, 3, bias=False).weight)
    with torch.device("meta"):
        one, other = (layer(nn.Conv2d, 2, 4, 3, bias=False) for _ in range(2))
        biased = layer(nn.Conv2d, 2, 4, 3, bias=True)
    assert repr(one) == repr(other) == repr(drawn)
    assert one.weight is not other.weight
    assert one.weight.is_meta and other.weight.is_meta
    assert biased.bias is not None
