"""An architecture as a module."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from optuna_nas.architecture import INPUT, Architecture
from optuna_nas.exceptions import SpaceError

__all__ = ["Network"]

_Step = tuple[str, tuple[str, ...], tuple[str, ...]]


class Network(nn.Module):
    """The graph of an architecture, (B, *input_shape) -> (B, outputs).

    Parameters are named by their node: `block1.conv.weight`.

    Args:
        architecture: The graph; dead nodes are left out.
        blocks: Module of each living node, by name.

    Attributes:
        input_dtype: Of the input, where it is no floats: `torch.long` for token ids.

    Raises:
        SpaceError: A node's name that cannot name a module.
    """

    def __init__(self, architecture: Architecture, blocks: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.architecture = architecture
        self._steps = _steps(architecture)
        self.input_dtype = _input_dtype(architecture, blocks)
        for node in architecture.alive:
            if not node.name.isidentifier() or hasattr(self, node.name):
                raise SpaceError(
                    "expected node names that are identifiers and no attribute of nn.Module, "
                    f"got {node.name!r}; rename the node"
                )
            self.add_module(node.name, blocks[node.name])

    def forward(self, x: Tensor) -> Tensor:
        if self._steps:
            return self._graph(x)
        for block in self.children():
            x = block(x)
        return x

    def _graph(self, x: Tensor) -> Tensor:
        values = {INPUT: x}
        for name, sources, finished in self._steps:
            values[name] = getattr(self, name)(*(values[s] for s in sources))
            for source in finished:
                del values[source]
        return values[name]


def _steps(architecture: Architecture) -> tuple[_Step, ...]:
    """List (node, inputs, values that nobody reads any more); empty for a chain."""
    alive = architecture.alive
    previous = (INPUT, *(node.name for node in alive))
    if all(node.inputs == (before,) for node, before in zip(alive, previous, strict=False)):
        return ()
    last = {source: node.name for node in alive for source in node.inputs}
    return tuple(
        (node.name, node.inputs, tuple(s for s, reader in last.items() if reader == node.name))
        for node in alive
    )


def _input_dtype(
    architecture: Architecture, blocks: Mapping[str, nn.Module]
) -> torch.dtype | None:
    readers = [blocks[node.name] for node in architecture.alive if INPUT in node.inputs]
    return next(filter(None, (getattr(block, "input_dtype", None) for block in readers)), None)
