"""How large shared weights must be: the union of what the networks of a space need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from torch import nn

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import SpaceError
from optuna_nas.samplers.uniform import generator, uniform
from optuna_nas.samplers.virtual import draw
from optuna_nas.supernet.pieces import Piece, Place, pieces, places

__all__ = ["Entry", "Extent", "options", "survey"]

PATIENCE = 200
"""Random networks in a row that must need nothing larger before a survey ends."""

SAMPLES = 5000
"""Random networks of a survey at most."""

MANY = 64
"""Whole numbers with more values than this are forced to their ends only."""

Space = Callable[[optuna.Trial], Architecture | nn.Module]
Origin = Place | Mapping[str, Any]
"""What a tensor was seen in: a block, or the parameters for which a space returned a module."""


@dataclass
class Entry:
    """A tensor of the store.

    Args:
        piece: Of the first network that needed it.
        shape: Elementwise largest shape of all.
        largest: Shape of the piece with the most entries.
        origin: Where that was seen.
    """

    piece: Piece
    shape: tuple[int, ...]
    largest: tuple[int, ...]
    origin: Origin

    def covers(self, shape: Sequence[int]) -> bool:
        """Whether a piece of this shape can be cut from it."""
        return len(shape) == len(self.shape) and all(
            size <= full for size, full in zip(shape, self.shape, strict=True)
        )

    def grow(self, piece: Piece, origin: Origin) -> bool:
        """Take in what another network needs, and say whether that is more.

        Raises:
            SpaceError: Neither can be a piece of the other.
        """
        same = (piece.learned, piece.kernel) == (self.piece.learned, self.piece.kernel)
        if len(piece.shape) != len(self.shape) or not same:
            raise SpaceError(
                f"expected tensor {piece.name!r} of node {piece.node!r} to nest in all networks "
                f"of the space, got the shapes {self.largest} and {piece.shape}; name a node of "
                "another form differently"
            )
        if prod(piece.shape) > prod(self.largest):
            self.largest, self.origin = piece.shape, origin
        if self.covers(piece.shape):
            return False
        self.shape = tuple(map(max, self.shape, piece.shape))
        return True


@dataclass(eq=False)
class Extent:
    """What was seen of a space.

    Args:
        space: The space.
        input_shape: Shape of one sample.
        outputs: Values per sample that a network returns.
        entries: Key -> tensor that the store needs.
        costs: Parameter of the space -> its option -> weights of the network that has it, all else
            being as large as it can be.
        graphs: Whether the space returns graphs, rather than modules.
    """

    space: Space
    input_shape: tuple[int, ...]
    outputs: int
    entries: dict[str, Entry] = field(default_factory=dict)
    costs: dict[str, dict[Any, int]] = field(default_factory=dict)
    graphs: bool = True

    def largest(self, name: str, distribution: BaseDistribution) -> Any:
        """The largest value; of options without an order the one with the most weights."""
        if isinstance(distribution, CategoricalDistribution):
            return self._extreme(max, name, distribution)
        return _ends(distribution)[1]

    def smallest(self, name: str, distribution: BaseDistribution) -> Any:
        """The smallest value; of options without an order the one with the fewest weights."""
        if isinstance(distribution, CategoricalDistribution):
            return self._extreme(min, name, distribution)
        return _ends(distribution)[0]

    def look(self, values: Callable[[str, BaseDistribution], Any]) -> _Look:
        """Take in the network that the space draws with these values.

        Raises:
            SpaceError: It cannot be drawn, or its tensors nest with no other's.
        """
        proposal = draw(self.space, values)
        drawn = proposal.drawn
        grown, weights = False, 0
        self.graphs = isinstance(drawn, Architecture)
        if isinstance(drawn, Architecture):
            found = places(drawn, self.input_shape, self.outputs)
            origins: dict[str, Origin] = {place.node: place for place in found}
            taken = pieces(found)
        else:
            origins, taken = {}, pieces(drawn)
        for piece in taken:
            origin = origins.get(piece.node, proposal.params) if origins else proposal.params
            entry = self.entries.get(piece.key)
            if entry is None:
                self.entries[piece.key] = Entry(piece, piece.shape, piece.shape, origin)
            grown |= entry is None or entry.grow(piece, origin)
            weights += prod(piece.shape) if piece.learned else 0
        return _Look(proposal.params, proposal.distributions, grown, weights)

    def _extreme(
        self,
        best: Callable[..., Any],
        name: str,
        distribution: CategoricalDistribution,
    ) -> Any:
        costs = self.costs.get(name, {})
        return best(distribution.choices, key=lambda option: costs.get(option, 0))


@dataclass(frozen=True)
class _Look:
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    grown: bool
    weights: int


def survey(space: Space, input_shape: tuple[int, ...], outputs: int, seed: int = 0) -> Extent:
    """See what the networks of a space need: the largest, each option of each choice, and chance.

    Args:
        space: Draws an `Architecture` or a module from a trial.
        input_shape: Shape of one sample.
        outputs: Values per sample that a network returns.
        seed: Of the networks drawn at random, which come last, until none needs more.

    Raises:
        SpaceError: The space cannot be drawn from, or its weights do not nest.
    """
    extent = Extent(space, tuple(input_shape), outputs)
    _force(extent)
    extent.look(extent.largest)
    extent.look(extent.smallest)
    quiet = 0
    for number in range(SAMPLES):
        look = extent.look(_at_random(generator("survey", seed, number)))
        quiet = 0 if look.grown else quiet + 1
        if quiet == PATIENCE:
            break
    return extent


def _at_random(rng: np.random.Generator) -> Callable[[str, BaseDistribution], Any]:
    return lambda _, distribution: uniform(distribution, rng)


def options(distribution: BaseDistribution) -> tuple[Any, ...]:
    """Every value of a choice; of one with very many values the ends."""
    if isinstance(distribution, CategoricalDistribution):
        return tuple(distribution.choices)
    low, high = _ends(distribution)
    if isinstance(distribution, IntDistribution):
        values = range(low, high + 1, distribution.step)
        if len(values) <= MANY:
            return tuple(values)
    return (low, high)


def _ends(distribution: BaseDistribution) -> tuple[Any, Any]:
    if isinstance(distribution, IntDistribution | FloatDistribution):
        return distribution.low, distribution.high
    raise SpaceError(
        "expected a categorical, int or float distribution, "
        f"got {type(distribution).__name__}; use trial.suggest_*"
    )


def _force(extent: Extent) -> None:
    """Force each option of each choice once, with all else at its largest."""
    waiting: list[dict[str, Any]] = [{}]
    while waiting:
        forced = waiting.pop(0)

        def value(name: str, distribution: BaseDistribution, forced: Any = forced) -> Any:
            return forced[name] if name in forced else extent.largest(name, distribution)

        look = extent.look(value)
        if forced:
            name, option = list(forced.items())[-1]
            extent.costs[name][option] = look.weights
        waiting.extend(_following(extent, forced, look))


def _following(extent: Extent, forced: Mapping[str, Any], look: _Look) -> Iterator[dict[str, Any]]:
    """What to force next: the choices that this network is the first to have."""
    for name, distribution in look.distributions.items():
        if name not in extent.costs:
            extent.costs[name] = {}
            for option in options(distribution):
                yield {**forced, name: option}
