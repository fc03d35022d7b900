"""What spaces of Transformers share: the choices of their layers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from optuna_nas.architecture import Architecture, Node
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces.allowed import check_allowed, restrict
from optuna_nas.spaces.choice import (
    ask_option,
    ask_size,
    check_any_sizes,
    check_options,
    check_range,
    check_sizes,
)

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["CLASS_TOKEN", "POOLS", "Layers"]

ACTIVATIONS = ("relu", "gelu", "swiglu")
NORMS = ("layer", "rms")
PATTERNS = ("full", "local", "strided", "linear")
PLACEMENTS = ("pre", "post")
POSITIONS = ("learned", "sinusoidal", "rotary")
POOLS = ("mean", "first")

POSITION = {"learned": "position", "sinusoidal": "position"}
CLASS_TOKEN = {"first": "class_token"}


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Choices of the layers of a Transformer, each an attention and a feed-forward node.

    Heads that do not divide the model's width are not offered for it, nor are group sizes that do
    not divide the heads. Unless said otherwise a choice holds for all layers.

    Args:
        layers: Smallest and largest number of layers.
        widths: Features of the model.
        heads: Query heads.
        head_dimensions: Features of a head; by default the width divided by the heads.
        group_sizes: Query heads that share a head of keys and values.
        patterns: Attention, of "full", "local", "strided" and "linear".
        windows: Positions less than so far away are seen by local attention.
        strides: Those less than so far away, and every so-manieth, are seen by strided attention.
        positions: Encodings of positions, of "learned", "sinusoidal" and "rotary".
        norms: Normalisation, of "layer" and "rms".
        placements: Where it is, of "pre" and "post".
        activations: Of "relu", "gelu" and "swiglu".
        ratios: How many times as wide as the model a feed-forward layer is inside.
        shared_ratio: Whether all layers have one ratio, or each its own.
        experts: Experts of a feed-forward layer; 1 is a dense one.
        top_k: Experts that a position is sent to; no more are offered than there are.
        balance: Weight of the load-balancing loss of experts.
        tied: Whether all layers share their weights.
        allowed: Kinds of blocks that the space may use, such as those that a backend can run
            (`backends.supported_blocks`); by default all.

    Raises:
        SpaceError: Bounds that allow nothing, at construction.
    """

    layers: tuple[int, int] = (2, 6)
    widths: tuple[int, ...] = (32, 48, 64)
    heads: tuple[int, ...] = (1, 2, 3, 4)
    head_dimensions: tuple[int, ...] = ()
    group_sizes: tuple[int, ...] = (1, 2, 4)
    patterns: tuple[str, ...] = PATTERNS
    windows: tuple[int, ...] = (4, 8)
    strides: tuple[int, ...] = (4,)
    positions: tuple[str, ...] = POSITIONS
    norms: tuple[str, ...] = NORMS
    placements: tuple[str, ...] = PLACEMENTS
    activations: tuple[str, ...] = ACTIVATIONS
    ratios: tuple[int, ...] = (2, 4, 8)
    shared_ratio: tuple[bool, ...] = (False, True)
    experts: tuple[int, ...] = (1, 4)
    top_k: tuple[int, ...] = (1, 2)
    balance: float = 0.01
    tied: tuple[bool, ...] = (False, True)
    allowed: tuple[str, ...] | None = None

    always: ClassVar[tuple[str, ...]] = ("attention", "feed_forward")
    """Kinds of blocks that every network has, beside those that embed and the head."""

    def __post_init__(self) -> None:
        allowed = check_allowed(self.allowed)
        positions = check_options("positions", self.positions, POSITIONS)
        legal = {
            "layers": check_range("layers", self.layers),
            "widths": check_sizes("widths", self.widths),
            "heads": check_sizes("heads", self.heads),
            "head_dimensions": check_any_sizes("head_dimensions", self.head_dimensions),
            "group_sizes": check_sizes("group_sizes", self.group_sizes),
            "patterns": check_options("patterns", self.patterns, PATTERNS),
            "windows": check_sizes("windows", self.windows, low=2),
            "strides": check_sizes("strides", self.strides, low=2),
            "positions": restrict(positions, allowed, self.always, POSITION),
            "norms": check_options("norms", self.norms, NORMS),
            "placements": check_options("placements", self.placements, PLACEMENTS),
            "activations": check_options("activations", self.activations, ACTIVATIONS),
            "ratios": check_sizes("ratios", self.ratios),
            "shared_ratio": check_options("shared_ratio", self.shared_ratio, (False, True)),
            "experts": check_sizes("experts", self.experts),
            "top_k": check_sizes("top_k", self.top_k),
            "balance": check_sizes("balance", (self.balance,), low=0.0)[0],
            "tied": check_options("tied", self.tied, (False, True)),
            "allowed": allowed,
        }
        for name, value in legal.items():
            object.__setattr__(self, name, value)
        self._check_heads()
        _expect_within("top_k", self.top_k, "experts", self.experts)

    def _network(
        self,
        trial: BaseTrial,
        before: list[tuple[str, str, dict[str, Any]]],
        width: int,
        position: str,
        place: dict[str, Any],
        pool: str,
    ) -> Architecture:
        """Draw a network of a chain of nodes, layers after it, and a readout."""
        embedding = Architecture.chain(before).nodes
        layers = self._layers(trial, embedding[-1].name, width, position, place)
        norm = layers[0].args["norm"] if layers[0].args["placement"] == "pre" else "none"
        args = {"pool": pool, "norm": norm}
        readout = Node("readout", "readout", args, (layers[-1].name,))
        return Architecture((*embedding, *layers, readout))

    def _layers(
        self, trial: BaseTrial, source: str, width: int, position: str, place: dict[str, Any]
    ) -> list[Node]:
        """Draw layers that read from the node `source`, by a position and what attention sees."""
        number = ask_size(trial, "layers", range(self.layers[0], self.layers[1] + 1))
        tied = ask_option(trial, "tied", self.tied)
        style = {
            "norm": ask_option(trial, "norm", self.norms),
            "placement": ask_option(trial, "placement", self.placements),
        }
        attention = {**self._attention(trial, width, position), **place, **style}
        feed_forward = {**self._feed_forward(trial), **style}
        nodes = []
        for layer, ratio in enumerate(self._ratios(trial, number, tied), start=1):
            for kind, args in (
                ("attention", attention),
                ("feed_forward", {"ratio": ratio, **feed_forward}),
            ):
                name = f"layer{layer}_{kind}"
                nodes.append(Node(name, kind, args, (source,), kind if tied else name))
                source = name
        return nodes

    def _attention(self, trial: BaseTrial, width: int, position: str) -> dict[str, Any]:
        heads = _ask_legal(trial, "heads", self.heads, self._heads(width), width)
        dimension = width // heads
        if self.head_dimensions:
            dimension = ask_size(trial, "head_dimension", self.head_dimensions)
        sizes = [size for size in self.group_sizes if heads % size == 0]
        size = _ask_legal(trial, "group_size", self.group_sizes, sizes, heads)
        pattern = ask_option(trial, "pattern", self.patterns)
        args: dict[str, Any] = {"pattern": pattern, "heads": heads, "dimension": dimension}
        if size > 1:
            args["groups"] = heads // size
        if pattern == "local":
            args["window"] = ask_size(trial, "local.window", self.windows)
        if pattern == "strided":
            args["stride"] = ask_size(trial, "strided.stride", self.strides)
        return args | ({"rotary": True} if position == "rotary" else {})

    def _feed_forward(self, trial: BaseTrial) -> dict[str, Any]:
        args: dict[str, Any] = {"activation": ask_option(trial, "activation", self.activations)}
        experts = ask_size(trial, "experts", self.experts)
        if experts > 1:
            legal = [k for k in self.top_k if k <= experts]
            top_k = _ask_legal(trial, "top_k", self.top_k, legal, experts)
            args |= {"experts": experts, "top_k": top_k, "balance": self.balance}
        return args

    def _ratios(self, trial: BaseTrial, number: int, tied: bool) -> list[int]:
        if tied or ask_option(trial, "shared_ratio", self.shared_ratio):
            return [ask_size(trial, "ratio", self.ratios)] * number
        return [ask_size(trial, f"layer{n}.ratio", self.ratios) for n in range(1, number + 1)]

    def _heads(self, width: int) -> list[int]:
        """Heads that divide a width; into an even number of features where they are rotated."""
        if self.head_dimensions:
            return list(self.heads)
        step = 2 if "rotary" in self.positions else 1
        return [heads for heads in self.heads if width % (step * heads) == 0]

    def _check_heads(self) -> None:
        even = "rotary" in self.positions
        if even and any(dimension % 2 for dimension in self.head_dimensions):
            raise SpaceError(
                f"expected even head_dimensions for rotary positions, got {self.head_dimensions}"
            )
        for width in self.widths:
            legal = [h for h in range(1, width + 1) if width % ((1 + even) * h) == 0]
            heads = self._heads(width)
            if not heads:
                into = " into an even number of features" if even else ""
                raise SpaceError(
                    f"expected heads that divide the width {width}{into}, such as {legal}, "
                    f"got heads={self.heads}"
                )
            for number in heads:
                _expect_divisor("group_sizes", self.group_sizes, "heads", number)

    def _check_length(self, length: int) -> None:
        """Local and strided attention are no other pattern in the shortest sequence."""
        if "local" in self.patterns and self.windows[-1] >= length:
            raise SpaceError(
                f"expected windows of less than the shortest sequence, {length}, "
                f"got {self.windows}; leave 'local' out of patterns, or use longer sequences"
            )
        if "strided" in self.patterns and 2 * self.strides[-1] >= length:
            raise SpaceError(
                f"expected strides of less than half the shortest sequence, {length}, "
                f"got {self.strides}; leave 'strided' out of patterns, or use longer sequences"
            )


def _ask_legal(
    trial: BaseTrial, name: str, sizes: tuple[int, ...], legal: list[int], of: int
) -> int:
    """Ask for a legal size; where only some are, by a name that says what that depends on."""
    return ask_size(trial, name if len(legal) == len(sizes) else f"{name}_of_{of}", legal)


def _expect_within(what: str, values: Iterable[int], of: str, numbers: tuple[int, ...]) -> None:
    for number in numbers:
        if number > 1 and min(values) > number:
            raise SpaceError(
                f"expected {what} of at most {number} for {of}={number}, got {tuple(values)}"
            )


def _expect_divisor(what: str, values: tuple[int, ...], of: str, number: int) -> None:
    if not any(number % value == 0 for value in values):
        legal = [n for n in range(1, number + 1) if number % n == 0]
        raise SpaceError(f"expected {what} that divide {of}={number}: {legal}, got {values}")
