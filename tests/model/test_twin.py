"""Copies of untrained modules are what constructing them again would make."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from optuna_nas.architecture import Architecture
from optuna_nas.blocks import BLOCKS, Linear, Shape
from optuna_nas.blocks.usual import usual
from optuna_nas.model import build
from optuna_nas.model.twin import twin
from optuna_nas.spaces import NASBench201


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


def test_networks_without_memory_share_nothing_but_their_shapes() -> None:
    architecture = Architecture.chain(
        [("first", "conv", {"channels": 4}), ("last", "classify", {})]
    )
    one, other = (build(architecture, (1, 8, 8), 3, device="meta") for _ in range(2))
    assert shapes(one) == shapes(other)
    assert not set(map(id, one.modules())) & set(map(id, other.modules()))
    assert not set(map(id, one.parameters())) & set(map(id, other.parameters()))


def test_a_network_without_memory_has_the_default_type_of_its_time() -> None:
    architecture = Architecture.chain([("first", "linear", {"features": 4})])
    usual = torch.get_default_dtype()
    try:
        for dtype in (torch.float64, torch.float32, torch.float64):
            torch.set_default_dtype(dtype)
            network = build(architecture, (3,), 4, device="meta")
            assert {parameter.dtype for parameter in network.parameters()} == {dtype}
    finally:
        torch.set_default_dtype(usual)


def test_a_block_that_is_defined_anew_is_the_one_that_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    architecture = Architecture.chain([("first", "widened", {"features": 4})])
    for times in (1, 2):

        class Widened(Linear):
            factor = times

            def __init__(self, shape: Shape, *, features: int) -> None:
                super().__init__(shape, features=self.factor * features)

        monkeypatch.setitem(BLOCKS, "widened", Widened)
        network = build(architecture, (3,), 4 * times, device="meta")
        assert isinstance(network.first, Widened)


def test_a_network_without_memory_has_the_parameters_of_one_with() -> None:
    space = NASBench201(cells=2, channels=4, input_shape=(3, 8, 8))
    text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|none~2|"
    architecture = space.architecture(text)
    bare, full = (build(architecture, (3, 8, 8), 5, device=d) for d in ("meta", "cpu"))
    assert [(n, p.shape) for n, p in bare.named_parameters()] == [
        (n, p.shape) for n, p in full.named_parameters()
    ]
    assert all(parameter.is_meta for parameter in bare.parameters())
