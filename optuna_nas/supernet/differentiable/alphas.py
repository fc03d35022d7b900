"""Architecture parameters: what is learned of each choice."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from optuna_nas.supernet.differentiable.relaxation import Relaxation

__all__ = ["Alphas"]

SPREAD = 1e-3
"""Standard deviation of the parameters at first, as published."""


class Alphas(nn.Module):
    """Architecture parameters of a relaxation, nearly equal at first.

    Args:
        relaxation: The choices.
        edges: Learn also, for each join, how much each of its inputs counts (edge normalisation).
        seed: Of their small differences at first.

    Source: DARTS, Liu et al. 2019, arXiv:1806.09055; edge normalisation: PC-DARTS, Xu et al.
    2020, arXiv:1907.05737, section 3.3.
    """

    def __init__(self, relaxation: Relaxation, edges: bool = False, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def drawn(size: int) -> nn.Parameter:
            return nn.Parameter(SPREAD * torch.randn(size, generator=generator))

        self.joins = relaxation.joins if edges else ()
        self.operators = nn.ParameterList(drawn(len(c.options)) for c in relaxation.choices)
        self.edges = nn.ParameterList(drawn(len(join)) for join in self.joins)

    def strengths(self) -> list[Tensor]:
        """Strength of each option of each choice: its weight, times that of its edge."""
        factors = self.factors()
        return [a.softmax(0) * factors.get(n, 1.0) for n, a in enumerate(self.operators)]

    def factors(self) -> dict[int, Tensor]:
        """Number of a choice in a join -> weight () of what its nodes return."""
        return {
            number: weight
            for join, beta in zip(self.joins, self.edges, strict=True)
            for number, weight in zip(join, beta.softmax(0), strict=True)
        }
