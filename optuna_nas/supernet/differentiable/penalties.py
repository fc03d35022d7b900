"""What is added to the validation loss that architecture parameters learn from; one a class."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from optuna_nas.exceptions import DescriptionError, MeasurementError
from optuna_nas.predictors.predictor import Values
from optuna_nas.predictors.table import LatencyTable
from optuna_nas.supernet.differentiable.relaxation import Choice, Relaxation

__all__ = ["Entropy", "ExpectedLatency", "Penalty", "Term"]

Term = Callable[[Sequence[Tensor], float], Tensor]
"""Called with the weights of the options of each choice (K,), which sum to 1, and the share of
the search that is done, from 0 up to 1; returns what is added to the loss, ()."""


class Penalty(abc.ABC):
    """A quantity of the weights of operators that is to be small."""

    @abc.abstractmethod
    def of(self, relaxation: Relaxation) -> Term:
        """The quantity for the choices of a space."""


@dataclass(frozen=True)
class Entropy(Penalty):
    """Entropy of the weights, as a share of its maximum and the mean over choices.

    It counts more as the search goes on, so that what is derived in the end is near what was
    trained.

    Args:
        weight: Its weight at the end, to which it rises linearly from 0.

    Raises:
        DescriptionError: A weight that is not above 0.

    Source: discretisation-aware search, Tian et al. 2020, arXiv:2007.03154.
    """

    weight: float = 0.1

    def __post_init__(self) -> None:
        _check(self.weight)

    def of(self, relaxation: Relaxation) -> Term:
        """The entropy, times its weight."""

        def term(weights: Sequence[Tensor], progress: float) -> Tensor:
            shares = [torch.special.entr(w).sum() / math.log(max(len(w), 2)) for w in weights]
            return self.weight * progress * torch.stack(shares).mean()

        return term


@dataclass(frozen=True)
class ExpectedLatency(Penalty):
    """Latency that a network drawn by the weights would have, without what all have in common.

    Args:
        table: Times of blocks on this device.
        weight: Weight of a millisecond, beside the loss.

    Raises:
        DescriptionError: A weight that is not above 0.

    Source: FBNet, Wu et al. 2018, arXiv:1812.03443; ProxylessNAS, Cai et al. 2018,
    arXiv:1812.00332, section 3.3.
    """

    table: LatencyTable
    weight: float = 0.1

    def __post_init__(self) -> None:
        _check(self.weight)

    def of(self, relaxation: Relaxation) -> Term:
        """The expected latency, times its weight.

        Raises:
            MeasurementError: The table is for another input, or lacks an operator.
        """
        if self.table.input_shape != relaxation.input_shape:
            raise MeasurementError(
                f"expected a latency table for inputs of {relaxation.input_shape}, got one for "
                f"{self.table.input_shape}; build one for this space"
            )
        costs = [torch.from_numpy(self._costs(relaxation, c)) for c in relaxation.choices]

        def term(weights: Sequence[Tensor], progress: float) -> Tensor:
            pairs = zip(weights, costs, strict=True)
            return self.weight * torch.stack([(w * c.to(w)).sum() for w, c in pairs]).sum()

        return term

    def _costs(self, relaxation: Relaxation, choice: Choice) -> Values:
        """Time of each option over all its nodes, (K,), in ms."""
        found = [
            [relaxation.configuration(node, operator) for operator in operators]
            for node, operators in choice.operators.items()
        ]
        blocks = list(dict.fromkeys(c for row in found for c in row if c is not None))
        known = dict(zip(blocks, self.table.costs(blocks), strict=True))
        times = [[0.0 if c is None else known[c] for c in row] for row in found]
        total: Values = np.array(times, dtype=np.float64).sum(axis=0)
        return total


def _check(weight: float) -> None:
    if not 0 < weight < math.inf:
        raise DescriptionError(
            f"expected a weight above 0, got weight={weight}; leave the penalty out instead"
        )
