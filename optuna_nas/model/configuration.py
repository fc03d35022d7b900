"""Block configurations: a block with its arguments and the shapes of its inputs.

Nodes of many architectures have one configuration, so what is known of it (the shape of its
output, the operators that it runs, its time) is found once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from optuna_nas.architecture import Architecture
from optuna_nas.blocks import Block, Shape, find
from optuna_nas.exceptions import SpaceError
from optuna_nas.model.build import walk
from optuna_nas.model.unfilled import Unfilled

__all__ = ["Configuration", "configurations"]


@dataclass(frozen=True)
class Configuration:
    """A block as a node has it once the shapes of its inputs are known.

    Args:
        kind: Kind of the block.
        args: Its arguments as JSON with sorted keys, the number of outputs of a head included.
        inputs: Shape of one sample of each input.
    """

    kind: str
    args: str
    inputs: tuple[Shape, ...]

    def __str__(self) -> str:
        shapes = ", ".join("x".join(map(str, shape)) for shape in self.inputs)
        return f"{self.kind} {self.args} on {shapes}"

    @cached_property
    def output_shape(self) -> Shape:
        """Shape of one sample of the output."""
        with Unfilled():
            return self.build().output_shape(*self.inputs)

    def build(self) -> Block:
        """Construct the block on torch's default device."""
        return find(self.kind)(*self.inputs, **json.loads(self.args))

    def to_json(self) -> dict[str, Any]:
        """As JSON values, which `from_json` reads."""
        return {"kind": self.kind, "args": json.loads(self.args), "inputs": self.inputs}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Configuration:
        """Restore what `to_json` returned."""
        return _configuration(data["kind"], _text(data["args"]), tuple(map(tuple, data["inputs"])))


def configurations(
    architecture: Architecture, input_shape: Shape, outputs: int
) -> list[Configuration]:
    """The configuration of every living node of an architecture, in topological order.

    Args:
        architecture: The graph.
        input_shape: Shape of one sample that the network takes.
        outputs: Values per sample that it returns.

    Raises:
        SpaceError: A module instead of a graph, a node that does not fit its inputs, or an output
            of another shape.
    """
    if not isinstance(architecture, Architecture):
        raise SpaceError(
            "expected an Architecture, whose nodes can be looked at one by one, "
            f"got {type(architecture).__name__}; let the space return an Architecture"
        )
    return list(walk(architecture, input_shape, outputs, _seen).values())


def _seen(
    kind: str, args: Mapping[str, Any], inputs: tuple[Shape, ...]
) -> tuple[Configuration, Shape]:
    configuration = _configuration(kind, _text(args), inputs)
    return configuration, configuration.output_shape


@lru_cache(maxsize=1 << 16)
def _configuration(kind: str, args: str, inputs: tuple[Shape, ...]) -> Configuration:
    """One object for equal configurations: what it has found out of itself is kept with it."""
    return Configuration(kind, args, inputs)


def _text(args: Mapping[str, Any]) -> str:
    return json.dumps(dict(args), sort_keys=True)
