"""A zero-cost proxy: whether examples pull the untrained network in different directions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from optuna_nas.exceptions import MeasurementError
from optuna_nas.objectives.zero_cost import ZeroCost, output

__all__ = ["JacobCov"]

SMALL = 1e-5


@dataclass(frozen=True, kw_only=True)
class JacobCov(ZeroCost):
    """How little the gradients of the output by the input are correlated between examples.

    With s the eigenvalues of the correlation matrix, minus the sum of log(s + k) + 1 / (s + k),
    k = 1e-5. An example for which the gradient is constant correlates with none, not even itself.

    Args:
        examples: Training examples to look at; with more of them than an input has numbers, some
            eigenvalues are always 0.

    Source: Mellor et al. 2020, arXiv:2006.04647, version 1; Abdelfattah et al. 2021,
    arXiv:2101.08134.
    """

    name: str = "jacob_cov"

    def score(self, network: nn.Module, x: Tensor, y: Tensor) -> float:
        """Minus the divergence of the correlations from none."""
        jacobian = self._gradient(network, x).flatten(1).double()
        centred = jacobian - jacobian.mean(1, keepdim=True)
        unit = centred / centred.norm(dim=1, keepdim=True).clamp(min=1e-300)
        eigenvalues = torch.linalg.eigvalsh(unit @ unit.T).clamp(min=0) + SMALL
        return -float((eigenvalues.log() + 1 / eigenvalues).sum())

    def _gradient(self, network: nn.Module, x: Tensor) -> Tensor:
        """Gradient by each example of the sum of what comes out."""
        if x.is_floating_point():
            x = x.clone().requires_grad_()
        total = output(self, network, x * 1).sum()  # a copy: the network may change it in place
        known = x.requires_grad and total.requires_grad
        gradient = torch.autograd.grad(total, x, allow_unused=True)[0] if known else None
        if gradient is None:
            raise MeasurementError(
                f"expected outputs with a gradient by the input for {self.name}, got none for "
                f"inputs of {x.dtype}; leave it out for such networks"
            )
        return gradient
