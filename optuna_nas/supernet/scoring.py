"""Scoring a network with inherited weights.

Source: batch-norm statistics computed anew for each network, Guo et al. 2020 (SPOS),
arXiv:1904.00420, section 3.3.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import DataError
from optuna_nas.objectives.candidate import evaluating
from optuna_nas.supernet.store import SharedWeights

__all__ = ["evaluate", "recalibrate", "score"]

Batches = Iterable[tuple[Tensor, Tensor]]


def score(
    store: SharedWeights,
    drawn: Architecture | nn.Module,
    train: Batches,
    validation: Batches,
    batches: int = 8,
) -> dict[str, float]:
    """Validation loss (cross entropy) and accuracy (fraction) of a network with shared weights.

    By loss networks are told apart better than by accuracy. The store stays as it is.

    Args:
        store: The weights, trained.
        drawn: What the space returned.
        train: Training batches, whose first ones recalibrate batch norm.
        validation: Validation batches.
        batches: How many training batches are used.

    Raises:
        DataError: There are no validation batches.
    """
    network = store.extract(drawn)
    recalibrate(network, islice(train, batches))
    return evaluate(network, validation)


def evaluate(network: nn.Module, validation: Batches) -> dict[str, float]:
    """Validation loss (cross entropy) and accuracy (fraction) of a network.

    Args:
        network: The network.
        validation: Validation batches.

    Raises:
        DataError: There are no validation batches.
    """
    device = next(network.parameters(), torch.empty(0)).device
    loss, hits, count = torch.zeros((), device=device), 0, 0
    with evaluating(network), torch.no_grad():
        for x, y in validation:
            logits, targets = network(x.to(device)), y.to(device)
            loss += cross_entropy(logits, targets, reduction="sum")
            hits += int((logits.argmax(1) == targets).sum())
            count += targets.numel()
    if not count:
        raise DataError("expected validation batches to score a network on, got none")
    return {"loss": float(loss) / count, "accuracy": hits / count}


def recalibrate(network: nn.Module, train: Batches) -> None:
    """Compute the statistics of batch norm anew, as the mean over batches; all else stays.

    Args:
        network: The network; without batch norm nothing is done.
        train: Training batches.
    """
    norms = [part for part in network.modules() if isinstance(part, _BatchNorm)]
    if not norms:
        return
    device = next(network.parameters()).device
    momenta = [norm.momentum for norm in norms]
    with evaluating(network), torch.no_grad():
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
            norm.momentum = None
        for x, _ in train:
            network(x.to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
