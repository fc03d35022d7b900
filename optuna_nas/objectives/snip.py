"""A zero-cost proxy: how much the loss would change without each of the untrained weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from optuna_nas.objectives.zero_cost import ZeroCost, loss_gradients

__all__ = ["SNIP"]


@dataclass(frozen=True, kw_only=True)
class SNIP(ZeroCost):
    """Magnitude of weight times gradient of the cross entropy, summed over all weights.

    Args:
        examples: Training examples to look at.

    Source: Lee et al. 2019, arXiv:1810.02340; as a proxy: Abdelfattah et al. 2021,
    arXiv:2101.08134.
    """

    name: str = "snip"

    def score(self, network: nn.Module, x: Tensor, y: Tensor) -> float:
        """The sum of magnitudes."""
        found = loss_gradients(self, network, x, y)
        return float(sum((weight * gradient).double().abs().sum() for weight, gradient in found))
