"""Laws of a backend."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from optuna_nas.backends import Backend
from optuna_nas.exceptions import MeasurementError
from optuna_nas.model import build
from optuna_nas.spaces import CNN, MLP
from optuna_nas.spaces.draws import random_trials

__all__ = ["BackendConformance", "relative_error", "standardise"]

Case = tuple[Any, tuple[int, ...]]
CASES: Sequence[Case] = (
    (CNN(input_shape=(3, 8, 8), blocks=(3, 3), channels=(8, 12, 16)), (3, 8, 8)),
    (MLP(layers=(2, 3), widths=(16, 32)), (20,)),
)
"""Spaces from which networks are drawn, and the shape of their inputs."""


class Misfit(nn.Module):
    """Takes one shape of input only, which is none of the examples'."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1, 7, 11)


class BackendConformance:
    """Laws of a backend. Subclass it with a fixture `backend`, ready to load."""

    tolerance: ClassVar[float] = 1e-4
    """Largest error, relative to how much outputs differ from one input to the next."""
    samples: ClassVar[int] = 2
    """Networks of each space; fewer where to load one takes seconds."""
    cases: ClassVar[Sequence[Case]] = CASES
    """Which spaces; fewer for the same reason."""

    @pytest.fixture
    def device(self) -> str:
        return "cpu"

    @pytest.fixture(autouse=True)
    def same_threads(self) -> Iterator[None]:
        before = torch.get_num_threads()
        yield
        torch.set_num_threads(before)

    def test_outputs_are_those_of_eager_pytorch(self, backend: Backend, device: str) -> None:
        """Of the input that the example holds at each run, and again at the next."""
        for network, example in networks(self.cases, self.samples, device):
            with torch.inference_mode():
                run = backend.load(network, example, threads=1)
                for _ in range(2):
                    expected = network(example)
                    assert relative_error(run(), expected) <= self.tolerance, network
                    assert relative_error(run(), expected) <= self.tolerance, network
                    example.copy_(torch.randn(example.shape))

    def test_what_does_not_fit_is_an_error_that_says_so(
        self, backend: Backend, device: str
    ) -> None:
        with torch.inference_mode(), pytest.raises(MeasurementError, match=r"7, 11.* is invalid"):
            backend.load(Misfit(), torch.zeros(2, 4, device=device), threads=1)

    def test_threads_are_set(self, backend: Backend, device: str) -> None:
        with torch.inference_mode(), pytest.raises(MeasurementError):
            backend.load(Misfit(), torch.zeros(2, 4, device=device), threads=3)
        assert torch.get_num_threads() == 3

    def test_the_version_names_a_library(self, backend: Backend) -> None:
        assert re.match(r"[a-z]+ \d+\.\d+", backend.version())

    def test_other_devices_are_refused(self, backend: Backend) -> None:
        with pytest.raises(MeasurementError, match="expected a device of type"):
            backend.check("meta")


def relative_error(output: object, expected: Tensor) -> float:
    """Distance of outputs (B, ...), relative to their distance from those of other inputs."""
    assert isinstance(output, Tensor)
    assert output.shape == expected.shape and output.device == expected.device
    spread = torch.linalg.norm(expected - expected.mean(0))
    return float(torch.linalg.norm(output - expected) / spread)


def networks(
    cases: Sequence[Case], samples: int, device: str
) -> Iterator[tuple[nn.Module, Tensor]]:
    """Networks in evaluation mode, whose outputs depend on their inputs, with an input each."""
    torch.manual_seed(0)
    for space, shape in cases:
        for trial in islice(random_trials(seed=0), samples):
            network = build(space(trial), shape, 10)
            standardise(network, torch.randn(64, *shape))
            yield network.eval().to(device), torch.randn(16, *shape, device=device)


def standardise(network: nn.Module, x: Tensor) -> None:
    """Give batch normalisation the statistics of a batch: without, signals fade out."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
    with torch.no_grad():
        network.train()(x)
