"""Chains of fully connected layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optuna_nas.architecture import Architecture
from optuna_nas.spaces.choice import ask_option, ask_size, check_options, check_sizes
from optuna_nas.spaces.space import register

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["MLP"]

ACTIVATIONS = ("relu", "gelu", "silu")
NORMS = ("none", "batch", "layer")


@register("mlp")
@dataclass(frozen=True, kw_only=True)
class MLP:
    """A chain of fully connected layers and a classifier, for features or flattened images.

    Activation, normalisation and dropout are those of all layers. By default there are 2,519,568
    sets of parameters: 36 choices for all layers, times 4^n own widths or 4 shared ones for each
    number n of layers. A shared width is the network with equal own widths: 2,518,848 differ.

    Args:
        layers: Numbers of hidden layers.
        widths: Features of a hidden layer.
        shared_width: Whether all layers have one width, or each its own.
        activations: Activations, of "relu", "gelu" and "silu".
        norms: Normalisations, of "none", "batch" and "layer".
        dropouts: Probabilities of dropping a feature, from 0 up to but not including 1.

    Raises:
        SpaceError: Bounds that allow nothing, at construction.
    """

    layers: tuple[int, ...] = (2, 3, 4, 6, 8)
    widths: tuple[int, ...] = (128, 256, 512, 1024)
    shared_width: tuple[bool, ...] = (False, True)
    activations: tuple[str, ...] = ACTIVATIONS
    norms: tuple[str, ...] = NORMS
    dropouts: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3)

    def __post_init__(self) -> None:
        legal = {
            "layers": check_sizes("layers", self.layers),
            "widths": check_sizes("widths", self.widths),
            "shared_width": check_options("shared_width", self.shared_width, (False, True)),
            "activations": check_options("activations", self.activations, ACTIVATIONS),
            "norms": check_options("norms", self.norms, NORMS),
            "dropouts": check_sizes("dropouts", self.dropouts, low=0.0, below=1.0),
        }
        for name, value in legal.items():
            object.__setattr__(self, name, value)

    def __call__(self, trial: BaseTrial) -> Architecture:
        """Draw an architecture whose nodes are `layer1`, `layer2`, ... and `classify`."""
        shared = {
            "norm": ask_option(trial, "norm", self.norms),
            "activation": ask_option(trial, "activation", self.activations),
            "dropout": ask_size(trial, "dropout", self.dropouts),
        }
        hidden = [
            (f"layer{number}", "linear", {"features": width, **shared})
            for number, width in enumerate(self._widths(trial), start=1)
        ]
        return Architecture.chain([*hidden, ("classify", "classify", {})])

    def _widths(self, trial: BaseTrial) -> list[int]:
        layers = ask_size(trial, "layers", self.layers)
        if ask_option(trial, "shared_width", self.shared_width):
            return [ask_size(trial, "width", self.widths)] * layers
        return [ask_size(trial, f"layer{n}.width", self.widths) for n in range(1, layers + 1)]
