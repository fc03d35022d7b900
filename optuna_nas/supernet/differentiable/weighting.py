"""From architecture parameters to the weights of operators; one way a class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from optuna_nas.exceptions import DescriptionError

__all__ = ["WEIGHTINGS", "Gumbel", "Softmax", "Weighting", "Weights"]


class Weights(NamedTuple):
    """Weights of the options of a choice.

    Args:
        values: One for each option, (K,).
        active: The options that run; the others have a weight of zero.
        factor: Weight of what they return together.
    """

    values: Tensor
    active: tuple[int, ...]
    factor: Tensor | float = 1.0

    @classmethod
    def one(cls, option: int, like: Tensor) -> Weights:
        """All weight on one option."""
        return cls(torch.zeros_like(like).index_fill(0, _at(option, like), 1.0), (option,))


Weighting = Callable[[Tensor, float], Weights]
"""Called with the architecture parameters of a choice (K,) and the share of the search that is
done, from 0 up to 1."""


@dataclass(frozen=True)
class Softmax:
    """Every operator runs, weighted by the softmax of the parameters.

    Source: DARTS, Liu et al. 2019, arXiv:1806.09055.
    """

    def __call__(self, alpha: Tensor, progress: float) -> Weights:
        """Weights of a choice."""
        return Weights(alpha.softmax(0), tuple(range(len(alpha))))


@dataclass(frozen=True)
class Gumbel:
    """Operators are drawn by the softmax of the parameters, with a temperature that falls.

    Args:
        hard: Run one operator, with a weight of 1 through which gradients pass as if it were soft
            (GDAS); or all of them, softly (FBNet).
        start: Temperature at the beginning.
        end: Temperature at the end, to which it falls linearly.

    Raises:
        DescriptionError: Temperatures that do not fall, or are not above 0.

    Source: GDAS, Dong and Yang 2019, arXiv:1910.04926; FBNet, Wu et al. 2018, arXiv:1812.03443.
    """

    hard: bool = True
    start: float = 10.0
    end: float = 0.1

    def __post_init__(self) -> None:
        if not self.start >= self.end > 0:
            raise DescriptionError(
                "expected temperatures that fall, start >= end > 0, got "
                f"start={self.start}, end={self.end}"
            )

    def __call__(self, alpha: Tensor, progress: float) -> Weights:
        """Weights of a choice, drawn anew each time."""
        temperature = self.start + (self.end - self.start) * progress
        noise = -torch.empty_like(alpha).exponential_().log()
        soft = ((alpha.log_softmax(0) + noise) / temperature).softmax(0)
        if not self.hard:
            return Weights(soft, tuple(range(len(alpha))))
        option = int(soft.argmax())
        return Weights(Weights.one(option, soft).values - soft.detach() + soft, (option,))


WEIGHTINGS: dict[str, Weighting] = {"gumbel": Gumbel(), "softmax": Softmax()}
"""Name -> way of weighting operators."""


def _at(option: int, like: Tensor) -> Tensor:
    return torch.tensor([option], device=like.device)
