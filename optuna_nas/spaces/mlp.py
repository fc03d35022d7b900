"""Chains of fully connected layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces.allowed import check_allowed, restrict
from optuna_nas.spaces.choice import ask_option, ask_size, check_options, check_sizes, listed
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
    number n of layers. A shared width is the network with equal own widths: 2,518,848 differ. With
    categories there are as many for each width of an embedding.

    Args:
        layers: Numbers of hidden layers.
        widths: Features of a hidden layer.
        shared_width: Whether all layers have one width, or each its own.
        activations: Activations, of "relu", "gelu" and "silu".
        norms: Normalisations, of "none", "batch" and "layer".
        dropouts: Probabilities of dropping a feature, from 0 up to but not including 1.
        categories: Column -> number of its categories, for columns of a table that hold numbers
            of categories; `ArrayDataModule(categorical=...)` counts them as `categories`.
        embeddings: Features that stand for a category.
        allowed: Kinds of blocks that the space may use, such as those that a backend can run
            (`backends.supported_blocks`); by default all.

    Raises:
        SpaceError: Bounds that allow nothing, at construction.

    Source: categories by embedding, Guo and Berkhahn 2016, arXiv:1604.06737.
    """

    layers: tuple[int, ...] = (2, 3, 4, 6, 8)
    widths: tuple[int, ...] = (128, 256, 512, 1024)
    shared_width: tuple[bool, ...] = (False, True)
    activations: tuple[str, ...] = ACTIVATIONS
    norms: tuple[str, ...] = NORMS
    dropouts: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3)
    categories: Mapping[int, int] | Sequence[tuple[int, int]] = ()
    embeddings: tuple[int, ...] = (2, 4, 8)
    allowed: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        legal: dict[str, Any] = {
            "layers": check_sizes("layers", self.layers),
            "widths": check_sizes("widths", self.widths),
            "shared_width": check_options("shared_width", self.shared_width, (False, True)),
            "activations": check_options("activations", self.activations, ACTIVATIONS),
            "norms": check_options("norms", self.norms, NORMS),
            "dropouts": check_sizes("dropouts", self.dropouts, low=0.0, below=1.0),
            "categories": _pairs(self.categories),
            "embeddings": check_sizes("embeddings", self.embeddings),
            "allowed": check_allowed(self.allowed),
        }
        for name, value in legal.items():
            object.__setattr__(self, name, value)
        columns = ("embed_columns",) if self.categories else ()
        restrict(("linear",), self.allowed, (*columns, "linear"))

    def __call__(self, trial: BaseTrial) -> Architecture:
        """Draw an architecture: `columns` for categories, `layer1`, ..., and `classify`."""
        shared = {
            "norm": ask_option(trial, "norm", self.norms),
            "activation": ask_option(trial, "activation", self.activations),
            "dropout": ask_size(trial, "dropout", self.dropouts),
        }
        nodes: list[tuple[str, str, dict[str, Any]]] = []
        if self.categories:
            width = ask_size(trial, "embedding", self.embeddings)
            categories = {"categories": self.categories, "width": width}
            nodes.append(("columns", "embed_columns", categories))
        nodes += [
            (f"layer{number}", "linear", {"features": width, **shared})
            for number, width in enumerate(self._widths(trial), start=1)
        ]
        return Architecture.chain([*nodes, ("classify", "classify", {})])

    def _widths(self, trial: BaseTrial) -> list[int]:
        layers = ask_size(trial, "layers", self.layers)
        if ask_option(trial, "shared_width", self.shared_width):
            return [ask_size(trial, "width", self.widths)] * layers
        return [ask_size(trial, f"layer{n}.width", self.widths) for n in range(1, layers + 1)]


def _pairs(
    categories: Mapping[int, int] | Sequence[tuple[int, int]],
) -> tuple[tuple[int, int], ...]:
    given = categories.items() if isinstance(categories, Mapping) else categories
    pairs = [listed("categories", pair) for pair in listed("categories", given)]
    whole = all(len(pair) == 2 and all(type(n) is int for n in pair) for pair in pairs)
    columns = {pair[0] for pair in pairs} if whole else set()
    if not whole or len(columns) < len(pairs) or any(c < 0 or n < 1 for c, n in pairs):
        raise SpaceError(
            "expected categories={column: count} of different columns from 0 and counts of at "
            f"least 1, got {categories}"
        )
    return tuple(sorted((column, count) for column, count in pairs))
