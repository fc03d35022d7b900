"""Which blocks a backend can run, and spaces restricted to them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from optuna_nas import backends
from optuna_nas.blocks import BLOCKS, Block, Shape, register
from optuna_nas.exceptions import DescriptionError, SpaceError
from optuna_nas.spaces import CNN


@pytest.fixture
def eager_only() -> Iterator[str]:
    """A kind of block that runs in eager PyTorch, and whose last choice has no form in ONNX."""

    class EagerOnly(Block):
        """A function that ONNX does not know."""

        choices = {"bessel": (False, True)}

        def __init__(self, shape: Shape, *, bessel: bool) -> None:
            super().__init__()
            self.bessel = bessel

        def forward(self, x: Tensor) -> Tensor:
            return torch.special.bessel_j0(x) if self.bessel else x + 1

    register("eager_only")(EagerOnly)
    yield "eager_only"
    del BLOCKS["eager_only"]


def test_eager_pytorch_runs_every_block(eager_only: str) -> None:
    assert set(backends.supported_blocks("eager")) == set(BLOCKS) >= {eager_only, "conv", "add"}


@pytest.mark.usefixtures("onnxruntime")
def test_a_block_that_cannot_be_exported_is_left_out(eager_only: str) -> None:
    supported = backends.supported_blocks("onnxruntime", (eager_only, "linear"))
    assert supported == ("linear",)
    assert CNN(allowed=("conv", *supported)).operators == ("conv",)


def test_threads_stay_as_they_are() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        backends.supported_blocks("eager", ("linear",))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(DescriptionError, match="expected a backend among"):
        backends.supported_blocks("tpu")
    with pytest.raises(SpaceError, match="expected a kind of block among"):
        backends.supported_blocks("eager", ("convolution",))
