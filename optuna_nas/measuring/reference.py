"""The fixed networks that candidates are timed against, from many small operators to few large.

What else runs on a machine slows networks by different factors: most those that spend their time
on the overhead of small operators, least those that spend it inside large ones. Beside a busy
sibling of the core (two hardware threads) that was 1.75 against 1.25. A candidate is therefore
compared with the reference that takes most nearly as long per operator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["WIDTHS", "example", "operators", "reference"]

WIDTHS = (8, 16, 24, 32, 48, 64, 96, 128)
"""Channels after the stem of each reference: from about 15 to 200 us an operator on one core."""


def reference(width: int) -> nn.Module:
    """A small pyramid of plain, depthwise and pointwise convolutions, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            *_convolution(3, width, 3),
            *_convolution(width, width, 3, groups=width),
            *_convolution(width, 2 * width, 1),
            *_convolution(2 * width, 2 * width, 3, stride=2),
            *_convolution(2 * width, 2 * width, 5, groups=2 * width),
            *_convolution(2 * width, 4 * width, 1),
            *_convolution(4 * width, 4 * width, 3, stride=2, groups=4 * width),
            *_convolution(4 * width, 4 * width, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4 * width, 10),
        ).eval()


def example() -> Tensor:
    """One input of the references (1, 3, 32, 32)."""
    return torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def operators(network: nn.Module, example: Tensor) -> int:
    """Number of operators that one forward pass in eager PyTorch calls."""
    counter: Callable[[], Any] = _Counter
    with counter() as counted:
        network(example)
    return max(int(counted.operators), 1)


class _Counter(TorchDispatchMode):
    """Counts the operators that run under it."""

    operators = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.operators += 1
        return function(*args, **(kwargs or {}))


def _convolution(
    incoming: int, channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, nn.Module, nn.Module]:
    pad = kernel // 2
    return (
        nn.Conv2d(incoming, channels, kernel, stride, pad, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )
