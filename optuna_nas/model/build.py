"""Architecture -> `nn.Module`, with every shape checked on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from optuna_nas.architecture import INPUT, Architecture, Node
from optuna_nas.blocks import Block, Head, Shape, find
from optuna_nas.exceptions import SpaceError
from optuna_nas.model.network import Network
from optuna_nas.model.twin import twin
from optuna_nas.model.unfilled import Unfilled

__all__ = ["build", "walk"]

T = TypeVar("T")

_BATCH = 2


def build(
    architecture: Architecture | nn.Module,
    input_shape: tuple[int, ...],
    outputs: int,
    device: torch.device | str | None = None,
) -> nn.Module:
    """Build the network of an architecture, or check a module that a space has returned.

    Every block is constructed from the shapes that reach it, so what does not fit is found here.
    On `device="meta"` no memory is allocated.

    Args:
        architecture: A graph, or a module, which is returned as it is.
        input_shape: Shape of one sample, such as (C, H, W) or (F,).
        outputs: Number of values per sample, or per position, that the network must return.
        device: Where the parameters live; by default torch's default device, and for a module
            wherever it is.

    Returns:
        A module (B, *input_shape) -> (B, outputs); or (B, outputs, ...) with the last dimensions
        of the input, for values of each position: (B, T) -> (B, outputs, T).

    Raises:
        SpaceError: Neither a graph nor a module, an unknown block, a node whose arguments do not
            fit its input, or an output of another shape.
    """
    if isinstance(architecture, nn.Module):
        _check_module(architecture, input_shape, outputs)
        return architecture if device is None else architecture.to(device)
    if not isinstance(architecture, Architecture):
        raise SpaceError(
            "expected a space to return an Architecture or an nn.Module, "
            f"got {type(architecture).__name__}"
        )
    place = torch.get_default_device() if device is None else torch.device(device)
    meta = place.type == "meta"
    with Unfilled() if meta else place:
        make = _blocks_of_meta() if meta else _block
        return Network(architecture, walk(architecture, input_shape, outputs, make))


def walk(
    architecture: Architecture,
    input_shape: tuple[int, ...],
    outputs: int,
    make: Callable[[str, Mapping[str, Any], tuple[Shape, ...]], tuple[T, Shape]],
) -> dict[str, T]:
    """Make something of every living node, in topological order, and once of those that share it.

    Args:
        architecture: The graph.
        input_shape: Shape of one sample.
        outputs: Number of values per sample, or per position, that the network must return.
        make: Called with the kind of a node, its arguments and the shapes of its inputs; returns
            what it has made, and the shape of the node's output.

    Returns:
        Name of a node -> what was made of it.

    Raises:
        SpaceError: A node that `make` refuses, nodes that share a module but not the shapes of
            their inputs, or an output of another shape.
    """
    shapes: dict[str, Shape] = {INPUT: tuple(input_shape)}
    made: dict[str, T] = {}
    shared: dict[str, tuple[str, tuple[Shape, ...]]] = {}
    for node in architecture.alive:
        inputs = tuple(shapes[source] for source in node.inputs)
        first, taken = shared.setdefault(node.module, (node.name, inputs))
        if first != node.name:
            _check_shared(node, inputs, first, taken)
            made[node.name], shapes[node.name] = made[first], shapes[first]
            continue
        head = issubclass(find(node.kind), Head)
        args = {**node.args, "outputs": outputs} if head else node.args
        try:
            made[node.name], shapes[node.name] = make(node.kind, args, inputs)
        # What a block, perhaps a user's own, raises for arguments or shapes that do not fit.
        except (TypeError, ValueError, RuntimeError) as error:
            raise SpaceError(
                f"node {node.name!r} ({node}) cannot be built for inputs of shape "
                f"{', '.join(map(str, inputs))}: {error}"
            ) from error
    where = f"node {architecture.output!r}"
    _check_outputs(shapes[architecture.output], input_shape, outputs, where)
    return made


def _check_shared(
    node: Node, inputs: tuple[Shape, ...], first: str, taken: tuple[Shape, ...]
) -> None:
    if inputs != taken:
        raise SpaceError(
            f"expected inputs of shape {', '.join(map(str, taken))} for node {node.name!r}, which "
            f"shares its module with {first!r}, got {', '.join(map(str, inputs))}"
        )


def _block(kind: str, args: Mapping[str, Any], inputs: tuple[Shape, ...]) -> tuple[Block, Shape]:
    block = find(kind)(*inputs, **args)
    return block, block.output_shape(*inputs)


def _blocks_of_meta() -> Callable[..., tuple[Block, Shape]]:
    """A maker that constructs each of equal blocks but the first by copying it."""
    made: dict[tuple[str, str, tuple[Shape, ...]], tuple[Block, Shape]] = {}

    def make(kind: str, args: Mapping[str, Any], inputs: tuple[Shape, ...]) -> tuple[Block, Shape]:
        key = kind, repr(dict(args)), inputs
        if key not in made:
            made[key] = _block(kind, args, inputs)
            return made[key]
        block, shape = made[key]
        return twin(block), shape

    return make


def _check_module(module: nn.Module, input_shape: Shape, outputs: int) -> None:
    """Run a batch of zeros in evaluation mode where the module's parameters are."""
    where = f"module {type(module).__name__}"
    first = next(module.parameters(), None)
    device, dtype = getattr(first, "device", None), getattr(module, "input_dtype", None)
    x = torch.zeros(_BATCH, *input_shape, dtype=dtype, device=device)
    modes = {part: part.training for part in module.modules()}
    try:
        with torch.no_grad():
            result = module.eval()(x)
    except Exception as error:
        raise SpaceError(f"{where} fails on an input of {tuple(x.shape)}: {error}") from error
    finally:
        for part, training in modes.items():
            part.training = training
    if not isinstance(result, Tensor) or not result.ndim:
        raise SpaceError(f"expected {where} to return a tensor (B, {outputs}), got {result!r}")
    _check_outputs(tuple(result.shape[1:]), input_shape, outputs, where)


def _check_outputs(shape: Shape, input_shape: Shape, outputs: int, where: str) -> None:
    positions = shape[1:]
    if shape[:1] != (outputs,) or positions != input_shape[len(input_shape) - len(positions) :]:
        raise SpaceError(
            f"expected an output of shape (B, {outputs}), got "
            f"({', '.join(['B', *map(str, shape)])}) from {where}; end the network with "
            f"{outputs} values per sample, or per position of the input"
        )
