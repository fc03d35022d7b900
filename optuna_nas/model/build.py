"""Architecture -> `nn.Module`, with every shape checked on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from optuna_nas.architecture import INPUT, Architecture, Node
from optuna_nas.blocks import Block, Head, Shape, find
from optuna_nas.blocks.twin import twin
from optuna_nas.exceptions import SpaceError
from optuna_nas.model.network import Network
from optuna_nas.model.unfilled import Unfilled

__all__ = ["build", "walk"]

T = TypeVar("T")

_BATCH = 2

_encode = json.JSONEncoder(sort_keys=True).encode


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
    if place.type == "meta":
        return Network(architecture, walk(architecture, input_shape, outputs, _bare))
    with place:
        return Network(architecture, walk(architecture, input_shape, outputs, _block))


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


def _bare(kind: str, args: Mapping[str, Any], inputs: tuple[Shape, ...]) -> tuple[Block, Shape]:
    """A block of the meta device: a copy, since networks of one space have many blocks alike."""
    make: Callable[..., Block] = find(kind)
    block, shape = _prototype(make, _encode(dict(args)), inputs, torch.get_default_dtype())
    return twin(block), shape


@lru_cache(maxsize=1024)
def _prototype(
    make: Callable[..., Block], args: str, inputs: tuple[Shape, ...], dtype: torch.dtype
) -> tuple[Block, Shape]:
    """A block that is only ever copied; 40 kB, or less."""
    with Unfilled():
        block = make(*inputs, **json.loads(args))
        return block, block.output_shape(*inputs)


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
