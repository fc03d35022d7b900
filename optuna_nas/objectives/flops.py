"""Floating-point operations of one forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from optuna_nas.architecture import Architecture
from optuna_nas.model.configuration import Configuration, configurations
from optuna_nas.objectives.candidate import Candidate, evaluating
from optuna_nas.objectives.objective import Direction, Measurement, Objective, Stage

__all__ = ["FLOPs", "plain_attention"]


@dataclass(frozen=True, kw_only=True)
class FLOPs(Objective):
    """Floating-point operations of one forward pass at batch 1, exact.

    A multiplication and the addition after it count as two, as in `torch.utils.flop_counter`;
    operations that counter does not know (activations, normalisation) count nothing.
    """

    name: str = "flops"
    unit: str = "FLOP"
    direction: Direction = "minimize"
    stage: ClassVar[Stage] = "architecture"

    def __call__(self, candidate: Candidate) -> Measurement:
        drawn, outputs = candidate.drawn, candidate.outputs
        if not isinstance(drawn, Architecture) or outputs is None:
            network = candidate.skeleton
            return Measurement(_counted(network, candidate.example(module=network)))
        found = configurations(drawn, candidate.input_shape, outputs)
        return Measurement(sum(map(_of_block, found)))


@lru_cache(maxsize=1 << 16)
def _of_block(configuration: Configuration) -> float:
    """Those of one block, which many networks have."""
    with torch.device("meta"):
        block = configuration.build()
        return _counted(block, *block.example(1, *configuration.inputs))


def _counted(network: nn.Module, *inputs: Tensor) -> float:
    counter = FlopCounterMode(display=False)
    with evaluating(network), torch.no_grad(), plain_attention(), counter:
        network(*inputs)
    return float(counter.get_total_flops())


@contextmanager
def plain_attention() -> Iterator[None]:
    """Compute attention by matrix products.

    The counter does not know every fused operation; and the gradient of one that is fused may
    overflow where scores are very large.
    """
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
