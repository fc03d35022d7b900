"""Position-wise feed-forward layers, dense or a mixture of experts.

Source: Vaswani et al. 2017, arXiv:1706.03762; SwiGLU, Shazeer 2020, arXiv:2002.05202; mixture of
experts with top-k routing, Shazeer et al. 2017, arXiv:1701.06538; gates that are the router's
probabilities, and the load-balancing loss, Fedus et al. 2021, arXiv:2101.03961.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from optuna_nas.blocks.activation import activation as _activation
from optuna_nas.blocks.auxiliary import add_auxiliary_loss
from optuna_nas.blocks.block import Shape, register
from optuna_nas.blocks.sublayer import Sublayer
from optuna_nas.exceptions import SpaceError

__all__ = ["FeedForward", "load_balancing_loss"]


@register("feed_forward")
class FeedForward(Sublayer):
    """Widen, activate, narrow at every position, with a residual connection, (B, T, C) -> same.

    With several experts, a router sends each position to the `top_k` of largest probability and
    adds up their outputs times that probability; no position is dropped. In training it asks for
    evenly used experts by an auxiliary loss (`blocks.auxiliary_losses`). Where shapes must be
    known beforehand (export, compilation, the meta device) the weights of the chosen experts are
    gathered for every position: the same values and as many operations, but more memory traffic.

    Args:
        shape: Shape of the input (T, C).
        ratio: How many times as wide as the input it is inside.
        activation: relu, gelu, silu or swiglu, which has a third matrix of weights.
        experts: Number of experts; 1 for a dense layer.
        top_k: Experts that a position is sent to.
        balance: Weight of the load-balancing loss.
        norm: layer or rms.
        placement: Normalise before (pre) or after (post).

    Raises:
        SpaceError: Arguments that do not fit each other or the input.
    """

    choices = {
        "ratio": (2, 4, 8),
        "activation": ("relu", "gelu", "swiglu"),
        "experts": (2, 1),
        "top_k": (1, 2),
        "norm": ("layer", "rms"),
        "placement": ("pre", "post"),
    }

    def __init__(
        self,
        shape: Shape,
        *,
        ratio: int = 4,
        activation: str = "relu",
        experts: int = 1,
        top_k: int = 1,
        balance: float = 0.01,
        norm: str = "layer",
        placement: str = "pre",
    ) -> None:
        super().__init__(shape, norm=norm, placement=placement)
        if ratio < 1:
            raise SpaceError(f"expected ratio of at least 1, got ratio={ratio}")
        if not 1 <= top_k <= experts:
            raise SpaceError(
                f"expected 1 <= top_k <= experts, got top_k={top_k}, experts={experts}"
            )
        width, gated = shape[1], activation == "swiglu"
        self.experts, self.top_k, self.balance = experts, top_k, balance
        self.router = nn.Linear(width, experts, bias=False) if experts > 1 else None
        self.widen = _weights(experts, ratio * width, width)
        self.gate = _weights(experts, ratio * width, width) if gated else None
        self.narrow = _weights(experts, width, ratio * width)
        self.activation = _activation("silu" if gated else activation)

    def transform(self, x: Tensor) -> Tensor:
        if self.router is None:
            return self._expert(0, x)
        positions = x.flatten(0, 1)
        probabilities = self.router(positions).softmax(-1)
        gates, chosen = probabilities.topk(self.top_k)
        if self.training:
            add_auxiliary_loss(self.balance * load_balancing_loss(probabilities, chosen))
        static = x.is_meta or torch.compiler.is_compiling()
        mix = self._gathered if static else self._dispatched
        return mix(positions, gates, chosen).reshape(x.shape)

    def _dispatched(self, x: Tensor, gates: Tensor, chosen: Tensor) -> Tensor:
        """Each expert in turn computes the positions (N, C) that have chosen it."""
        y = torch.zeros_like(x)
        for expert in range(self.experts):
            position, rank = (chosen == expert).nonzero(as_tuple=True)
            share = gates[position, rank, None] * self._expert(expert, x[position])
            y = y.index_add(0, position, share.to(y.dtype))
        return y

    def _gathered(self, x: Tensor, gates: Tensor, chosen: Tensor) -> Tensor:
        """Each position (N, C) computes with the weights that it has chosen."""
        y = self._expert(chosen, x[:, None, None, :])[:, :, 0]
        return (gates[:, :, None] * y).sum(1)

    def _expert(self, which: int | Tensor, x: Tensor) -> Tensor:
        """The output of one expert (..., C) -> (..., C), or of those of each position."""
        inside = self.activation(x @ self._of(self.widen, which).mT)
        if self.gate is not None:
            inside = inside * (x @ self._of(self.gate, which).mT)
        out: Tensor = inside @ self._of(self.narrow, which).mT
        return out

    def _of(self, weights: Tensor, which: int | Tensor) -> Tensor:
        """Weights of experts; of the only one a view, which does not copy its gradient."""
        return weights.squeeze(0) if self.experts == 1 else weights[which]


def load_balancing_loss(probabilities: Tensor, chosen: Tensor) -> Tensor:
    """Experts times the sum over experts of (share of positions sent) x (mean probability).

    It is 1 where all experts are used and expected alike.

    Args:
        probabilities: Of the router, (N, experts).
        chosen: Experts of each position, (N, top_k).

    Source: Fedus et al. 2021, arXiv:2101.03961, equations 4 to 6; for several experts a position,
    the share is of all choices.
    """
    experts = probabilities.shape[1]
    sent = (chosen[:, :, None] == torch.arange(experts, device=chosen.device)).sum((0, 1))
    share = sent / chosen.numel()
    return experts * (share * probabilities.mean(0)).sum()


def _weights(experts: int, outside: int, inside: int) -> nn.Parameter:
    """Weights (experts, outside, inside), each drawn as those of `nn.Linear`."""
    bound = inside**-0.5
    return nn.Parameter(torch.empty(experts, outside, inside).uniform_(-bound, bound))
