"""PyTorch as it is."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from optuna_nas.backends.backend import Backend, Run, register

__all__ = ["Eager"]


@register("eager")
class Eager(Backend):
    """Eager PyTorch: Python calls one operator after the other."""

    def prepare(self, network: nn.Module, example: Tensor, threads: int) -> Run:
        return partial(network, example)
