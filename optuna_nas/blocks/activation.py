"""Activations by name.

Source: GELU, Hendrycks and Gimpel 2016, arXiv:1606.08415; SiLU, Elfwing et al. 2017,
arXiv:1702.03118.
"""

from __future__ import annotations

from torch import nn

from optuna_nas.exceptions import SpaceError

__all__ = ["ACTIVATIONS", "activation"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "none": nn.Identity,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


def activation(name: str) -> nn.Module:
    """Return a new activation.

    Raises:
        SpaceError: An unknown name.
    """
    if name not in ACTIVATIONS:
        raise SpaceError(f"expected an activation among {sorted(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]()
