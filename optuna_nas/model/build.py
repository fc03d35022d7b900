"""Architecture -> `nn.Module`, with every shape checked on the way."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from optuna_nas.architecture import INPUT, Architecture, Node
from optuna_nas.blocks import Block, Head, Shape, find
from optuna_nas.exceptions import SpaceError
from optuna_nas.model.network import Network

__all__ = ["build"]

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
        outputs: Number of values per sample that the network must return.
        device: Where the parameters live; by default torch's default device, and for a module
            wherever it is.

    Returns:
        A module (B, *input_shape) -> (B, outputs).

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
    with torch.get_default_device() if device is None else torch.device(device):
        return Network(architecture, _blocks(architecture, tuple(input_shape), outputs))


def _blocks(architecture: Architecture, input_shape: Shape, outputs: int) -> dict[str, Block]:
    """Construct every living node from the shapes of its inputs."""
    shapes = {INPUT: input_shape}
    blocks: dict[str, Block] = {}
    for node in architecture.alive:
        sources = [shapes[source] for source in node.inputs]
        blocks[node.name], shapes[node.name] = _block(node, sources, outputs)
    _check_outputs(shapes[architecture.output], outputs, f"node {architecture.output!r}")
    return blocks


def _block(node: Node, shapes: list[Shape], outputs: int) -> tuple[Block, Shape]:
    kind = find(node.kind)
    args = {**node.args, "outputs": outputs} if issubclass(kind, Head) else node.args
    try:
        block = kind(*shapes, **args)
        return block, block.output_shape(*shapes)
    except (SpaceError, TypeError, ValueError, RuntimeError, NotImplementedError) as error:
        raise SpaceError(
            f"node {node.name!r} ({node}) cannot be built for inputs of shape "
            f"{', '.join(map(str, shapes))}: {error}"
        ) from error


def _check_module(module: nn.Module, input_shape: Shape, outputs: int) -> None:
    """Run a batch of zeros in evaluation mode where the module's parameters are."""
    where = f"module {type(module).__name__}"
    first = next(module.parameters(), None)
    x = torch.zeros(_BATCH, *input_shape, device=None if first is None else first.device)
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
    _check_outputs(tuple(result.shape[1:]), outputs, where)


def _check_outputs(shape: Shape, outputs: int, where: str) -> None:
    if shape != (outputs,):
        raise SpaceError(
            f"expected an output of shape (B, {outputs}), got "
            f"({', '.join(['B', *map(str, shape)])}) from {where}; end the network with "
            f"{outputs} values per sample"
        )
