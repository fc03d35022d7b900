"""A loss that leaves what is already learned alone.

Source: Lin et al. 2017, arXiv:1708.02002.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

__all__ = ["focal_loss"]

FOCUS = 2.0
"""Gamma, the best in the paper."""


def focal_loss(
    logits: Tensor, y: Tensor, weight: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Cross entropy of each sample times (1 - p)^2, p the probability of its class.

    Args:
        logits: (B, classes, ...).
        y: Classes (B, ...).
        weight: Of each class (classes,); the mean is weighted too, as in `cross_entropy`.
        label_smoothing: Share of the target spread over all classes.
    """
    losses = cross_entropy(
        logits, y, weight=weight, label_smoothing=label_smoothing, reduction="none"
    )
    right = torch.exp(-cross_entropy(logits, y, reduction="none"))
    total = y.numel() if weight is None else weight[y].sum()
    return ((1 - right) ** FOCUS * losses).sum() / total
