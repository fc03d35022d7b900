"""What a network takes from a store of shared weights: a piece of a tensor for each of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy

from optuna_nas.architecture import Architecture
from optuna_nas.blocks import Block
from optuna_nas.blocks.twin import twin
from optuna_nas.exceptions import SpaceError
from optuna_nas.model.configuration import Configuration, configurations
from optuna_nas.model.unfilled import Unfilled

__all__ = ["Piece", "Place", "cut", "pieces", "placed", "places", "skeleton"]


class Piece(NamedTuple):
    """A tensor of a network that comes from the store.

    Args:
        key: Of the store's tensor: node, kind and name, or the name alone in a user's module.
        name: In the network, such as `block1.conv.weight`.
        shape: What the network needs of it.
        learned: Whether it is a parameter; otherwise a buffer, such as running statistics.
        kernel: Whether dimensions from the third on are those of a convolution's kernel.
    """

    key: str
    name: str
    shape: tuple[int, ...]
    learned: bool
    kernel: bool

    @property
    def node(self) -> str:
        """Name of the node, or of the submodule, that it belongs to."""
        return self.key.split("/")[0] if "/" in self.key else self.name.rpartition(".")[0]


class Place(NamedTuple):
    """A module of an architecture with the configuration of its block.

    Args:
        node: Name of the module, which is that of its node unless several share it.
        configuration: Of the block.
    """

    node: str
    configuration: Configuration


def places(
    architecture: Architecture, input_shape: tuple[int, ...], outputs: int
) -> tuple[Place, ...]:
    """The modules of an architecture with their configurations, in the order of first use.

    Raises:
        SpaceError: An architecture that cannot be built.
    """
    found = configurations(architecture, input_shape, outputs)
    of_module = {n.module: c for n, c in zip(architecture.alive, found, strict=True)}
    return tuple(Place(module, of_module[module]) for module in architecture.modules)


def pieces(drawn: tuple[Place, ...] | nn.Module) -> tuple[Piece, ...]:
    """What a network takes from the store.

    Args:
        drawn: Places of an architecture, or a user's module.

    Raises:
        SpaceError: A parameter that takes its shape from the data.
    """
    if isinstance(drawn, nn.Module):
        return tuple(p._replace(key=p.name.replace(".", "-")) for p in _pieces(drawn))
    return tuple(piece for place in drawn for piece in placed(place))


def placed(place: Place) -> Iterator[Piece]:
    """What the block of a node takes from the store."""
    node, kind = place.node, place.configuration.kind
    for key, name, shape, learned, kernel in _of(place.configuration):
        yield Piece(f"{node}/{kind}/{key}", f"{node}.{name}", shape, learned, kernel)


def skeleton(place: Place, taken: tuple[Piece, ...], device: torch.device) -> Block:
    """The block of a node without what it takes from the store.

    Args:
        place: The node, and what its block is.
        taken: What it takes from the store.
        device: Where its own buffers are: those that are no state, and tables of whole numbers.
    """
    block = twin(_prototype(place.configuration))
    shared = {piece.name for piece in taken}
    if all(f"{place.node}.{name}" in shared for name, _ in block.named_buffers()):
        return block
    with torch.random.fork_rng(devices=[]), device:
        return place.configuration.build()


def cut(tensor: Tensor, shape: tuple[int, ...], kernel: bool) -> Tensor:
    """A view of a tensor: its leading entries, and the centre of a kernel.

    Args:
        tensor: At least of that shape in each dimension.
        shape: Shape of the view.
        kernel: Whether dimensions from the third on are those of a convolution's kernel.
    """
    for dim, (size, full) in enumerate(zip(shape, tensor.shape, strict=True)):
        if spare := full - size:
            tensor = tensor.narrow(dim, spare // 2 if kernel and dim >= 2 else 0, size)
    return tensor


@lru_cache(maxsize=1 << 16)
def _of(configuration: Configuration) -> tuple[Piece, ...]:
    found = _pieces(_prototype(configuration))
    return tuple(piece._replace(key=piece.name.replace(".", "/")) for piece in found)


@lru_cache(maxsize=1 << 11)  # some 45 kB each
def _prototype(configuration: Configuration) -> Block:
    """A block without weights to copy, which costs a fifth of constructing it."""
    with Unfilled():
        return configuration.build()


def _pieces(module: nn.Module) -> Iterator[Piece]:
    """Parameters, running statistics and counters of a module; its other buffers are its own."""
    state = {f"{path}.{name}".lstrip(".") for path, name in _state(module)}
    seen: set[int] = set()
    for path, part in module.named_modules():
        kernel = isinstance(part, _ConvNd)
        for name, tensor in (*part._parameters.items(), *part._buffers.items()):
            full = f"{path}.{name}".lstrip(".")
            if tensor is None or id(tensor) in seen:
                continue
            if is_lazy(tensor):
                raise SpaceError(
                    f"expected parameters whose shapes the space decides, got {full!r} of "
                    f"{type(part).__name__}, which takes its shape from the data; its weights "
                    "cannot be shared: give it its sizes"
                )
            seen.add(id(tensor))
            learned = isinstance(tensor, nn.Parameter)
            counted = tensor.ndim == 0 or tensor.is_floating_point()
            if learned or (full in state and counted):
                yield Piece("", full, tuple(tensor.shape), learned, kernel)


def _state(module: nn.Module) -> Iterator[tuple[str, str]]:
    """(Module, name) of each buffer that a state dict holds."""
    for path, part in module.named_modules():
        for name in part._buffers.keys() - part._non_persistent_buffers_set:
            yield path, name
