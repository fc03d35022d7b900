"""What is measured: a network on its way from drawing to trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import nn

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import DataError
from optuna_nas.model import build

__all__ = ["Candidate", "evaluating"]


@dataclass
class Candidate:
    """A network that a trial has drawn, and what is known of it so far.

    Args:
        drawn: What the space returned.
        input_shape: Shape of one input without the batch, such as (C, H, W).
        outputs: Size of the network's output; None where the data does not say.
        seed: Seed of its weights.
        metrics: What its training logged last; empty before.
        calibrations: Objective name -> what the objective's `calibrate` returned for this study.
    """

    drawn: Architecture | nn.Module
    input_shape: tuple[int, ...]
    outputs: int | None = None
    seed: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    calibrations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def network(self) -> nn.Module:
        """The network with its weights, on the CPU."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self._build()

    @cached_property
    def skeleton(self) -> nn.Module:
        """The network without memory for its weights; a module of the user's own as it is."""
        if isinstance(self.drawn, nn.Module):
            return self.network
        return self._build("meta")

    def _build(self, device: str | None = None) -> nn.Module:
        if self.outputs is not None:
            return build(self.drawn, self.input_shape, self.outputs, device=device)
        if isinstance(self.drawn, nn.Module):
            with evaluating(self.drawn), torch.no_grad():
                self.drawn(self.example(module=self.drawn))  # lazy modules take their shapes
            return self.drawn
        raise DataError(
            "expected the data to say how many outputs a network needs, got a LightningDataModule "
            "without an attribute `outputs`; add it, for example the number of classes"
        )

    def example(self, batch: int = 1, module: nn.Module | None = None) -> torch.Tensor:
        """Zeros (B, *input_shape) on the device of a module (the network by default)."""
        first = next((module or self.network).parameters(), torch.empty(0))
        return torch.zeros(batch, *self.input_shape, device=first.device)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, and each of its modules back into its own after."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
