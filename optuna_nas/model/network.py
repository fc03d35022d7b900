"""An architecture as a module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from optuna_nas.architecture import INPUT, Architecture
from optuna_nas.exceptions import SpaceError

if TYPE_CHECKING:
    from optuna_nas.model.narrowing import Narrowing

__all__ = ["Network"]

_Step = tuple[str, str, tuple[str, ...], tuple[str, ...]]


class Network(nn.Module):
    """The graph of an architecture, (B, *input_shape) -> (B, outputs).

    Parameters are named by the module of their node: `block1.conv.weight`. A module that several
    nodes share is there once.

    Args:
        architecture: The graph; dead nodes are left out.
        blocks: Module of each living node, by the node's name.

    Attributes:
        input_dtype: Of the input, where it is no floats: `torch.long` for token ids.
        narrowing: Has it compute with a share of its channels; None for all.

    Raises:
        SpaceError: A name of a module that is none.
    """

    narrowing: Narrowing | None = None

    def __init__(self, architecture: Architecture, blocks: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.architecture = architecture
        self._steps = _steps(architecture)
        self.input_dtype = _input_dtype(architecture, blocks)
        for name, block in {n.module: blocks[n.name] for n in architecture.alive}.items():
            if not name.isidentifier() or hasattr(self, name):
                raise SpaceError(
                    "expected node names that are identifiers and no attribute of nn.Module, "
                    f"got {name!r}; rename the node"
                )
            self.add_module(name, block)

    def forward(self, x: Tensor) -> Tensor:
        if self.narrowing is not None and self.narrowing.share < 1:
            return self.narrowing(self, x)
        if self._steps:
            return self._graph(x)
        for block in self.children():
            x = block(x)
        return x

    def _graph(self, x: Tensor) -> Tensor:
        values = {INPUT: x}
        for name, module, sources, finished in self._steps:
            values[name] = getattr(self, module)(*(values[s] for s in sources))
            for source in finished:
                del values[source]
        return values[name]


def _steps(architecture: Architecture) -> tuple[_Step, ...]:
    """List (node, module, inputs, values that nobody reads any more).

    Empty for a chain whose nodes share nothing.
    """
    alive = architecture.alive
    previous = (INPUT, *(node.name for node in alive))
    alone = len({node.module for node in alive}) == len(alive)
    if alone and all(
        node.inputs == (before,) for node, before in zip(alive, previous, strict=False)
    ):
        return ()
    finished: dict[str, list[str]] = {}
    for source, reader in {source: n.name for n in alive for source in n.inputs}.items():
        finished.setdefault(reader, []).append(source)
    return tuple((n.name, n.module, n.inputs, tuple(finished.get(n.name, ()))) for n in alive)


def _input_dtype(
    architecture: Architecture, blocks: Mapping[str, nn.Module]
) -> torch.dtype | None:
    readers = [blocks[node.name] for node in architecture.alive if INPUT in node.inputs]
    return next(filter(None, (getattr(block, "input_dtype", None) for block in readers)), None)
