"""A zero-cost proxy: whether the untrained network tells examples apart by its rectifiers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from optuna_nas.exceptions import MeasurementError
from optuna_nas.objectives.zero_cost import ZeroCost, output

__all__ = ["NASWOT"]

SMALL = 1e-5
RECTIFIERS = {
    torch.ops.aten.relu,
    torch.ops.aten.relu_,
    torch.ops.aten.leaky_relu,
    torch.ops.aten.leaky_relu_,
    torch.ops.aten.hardtanh,  # ReLU6
    torch.ops.aten.hardtanh_,
}


@dataclass(frozen=True, kw_only=True)
class NASWOT(ZeroCost):
    """Logarithm of the determinant of how many rectifiers agree on each two examples.

    A rectifier agrees on two examples if it is on for both, or off for both. Eigenvalues of that
    matrix count as at least 1e-5, so that a network which does not tell some examples apart at
    all has a finite, very low value. ReLU, ReLU6 and leaky ReLU are rectifiers, as modules and as
    functions; a network without any is refused.

    Args:
        examples: Training examples to look at.

    Source: Mellor et al. 2021, arXiv:2006.04647.
    """

    name: str = "naswot"

    def score(self, network: nn.Module, x: Tensor, y: Tensor) -> float:
        """The logarithm of the determinant."""
        agreement = _Agreement(len(x))
        with torch.no_grad(), agreement:
            output(self, network, x.clone())
        if agreement.odd is not None:
            raise MeasurementError(
                f"expected rectifiers of shape ({len(x)}, ...), the examples first, for "
                f"{self.name}, got one of shape {agreement.odd}"
            )
        if not agreement.counts.any():
            raise MeasurementError(
                f"expected a network with ReLU, ReLU6 or leaky ReLU for {self.name}, got none; "
                "leave it out for spaces of other activations"
            )
        eigenvalues: Tensor = torch.linalg.eigvalsh(agreement.counts)
        return float(eigenvalues.clamp(min=SMALL).log().sum())


class _Agreement(TorchDispatchMode):
    """Counts the rectifiers that agree on each two examples while a network runs."""

    def __init__(self, examples: int) -> None:
        TorchDispatchMode.__init__(self)
        self.counts = torch.zeros(examples, examples, dtype=torch.float64)
        self.odd: tuple[int, ...] | None = None

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if getattr(function, "overloadpacket", None) in RECTIFIERS:
            self._count(args[0])
        return function(*args, **(kwargs or {}))

    def _count(self, x: Tensor) -> None:
        if x.ndim < 1 or len(x) != len(self.counts):
            self.odd = tuple(x.shape)
            return
        sign = torch.where(x > 0, 1.0, -1.0).flatten(1)  # products of these count exactly
        self.counts += (sign @ sign.T).cpu().double().add(sign.shape[1]) / 2
