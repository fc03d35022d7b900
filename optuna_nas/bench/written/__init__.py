"""Networks of the spaces, each written by hand as one would without a search; one a file.

A file `<space>.py` has `INPUT_SHAPE` (of one sample), `OUTPUTS`, `VOCABULARY` where it reads token
ids, and two functions: `architecture()` returns a network of the space, and `module()` the same
network as a plain `nn.Module`, whose layers are in the same order: a state dictionary of one fits
the other, value by value, but for dimensions of one.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Protocol

import torch
from torch import Tensor, nn

from optuna_nas.architecture import Architecture
from optuna_nas.blocks import Shape

__all__ = ["Written", "example", "find"]


class Written(Protocol):
    """What a file has."""

    INPUT_SHAPE: Shape
    OUTPUTS: int

    def architecture(self) -> Architecture:
        """A network of the space."""

    def module(self) -> nn.Module:
        """The same network, written by hand."""


def find(space: str) -> Written | None:
    """The file of a space; None where there is none."""
    name = f"{__name__}.{space}"
    if importlib.util.find_spec(name) is None:
        return None
    written: Written = importlib.import_module(name)
    return written


def example(by_hand: Written, batch: int) -> Tensor:
    """A random input (B, ...) of a file's networks."""
    vocabulary = getattr(by_hand, "VOCABULARY", None)
    if vocabulary is None:
        return torch.randn(batch, *by_hand.INPUT_SHAPE)
    return torch.randint(vocabulary, (batch, *by_hand.INPUT_SHAPE))
