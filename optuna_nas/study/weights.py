"""Weights of networks that were trained to the end, as safetensors: numbers, and no code."""

from __future__ import annotations

import os
from pathlib import Path

from safetensors.torch import load_model, save_model
from torch import nn

__all__ = ["load_weights", "save_weights", "weights_path"]


def weights_path(folder: str | os.PathLike[str], training: str, seed: int) -> Path:
    """The file for the weights of a training.

    Args:
        folder: Where weights are kept.
        training: Identity of the training.
        seed: Its seed.
    """
    return Path(folder) / f"{training[:12]}-{seed:08x}.safetensors"


def save_weights(network: nn.Module, path: Path) -> None:
    """Write parameters and buffers of a network, which are there as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_model(network, str(part))
    os.replace(part, path)


def load_weights(network: nn.Module, path: Path) -> None:
    """Give a network the weights that `save_weights` wrote.

    Raises:
        RuntimeError: They are another network's.
    """
    load_model(network, str(path))
