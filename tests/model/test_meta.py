"""Networks of the meta device: made of copies, and what building with memory would make."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from optuna_nas.architecture import Architecture
from optuna_nas.blocks import BLOCKS, Linear, Shape
from optuna_nas.model import build
from optuna_nas.spaces import NASBench201


def shapes(module: nn.Module) -> dict[str, tuple[torch.Size, torch.dtype, torch.device]]:
    return {name: (t.shape, t.dtype, t.device) for name, t in module.state_dict().items()}


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
