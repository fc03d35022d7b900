"""A zero-cost proxy: how hard the loss pulls at the untrained weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from optuna_nas.objectives.zero_cost import ZeroCost, loss_gradients

__all__ = ["GradNorm"]


@dataclass(frozen=True, kw_only=True)
class GradNorm(ZeroCost):
    """Euclidean norm of the gradient of the cross entropy, summed over weight tensors.

    Args:
        examples: Training examples to look at.

    Source: Abdelfattah et al. 2021, arXiv:2101.08134.
    """

    name: str = "grad_norm"

    def score(self, network: nn.Module, x: Tensor, y: Tensor) -> float:
        """The sum of norms."""
        found = loss_gradients(self, network, x, y)
        return float(sum(gradient.double().norm() for _, gradient in found))
