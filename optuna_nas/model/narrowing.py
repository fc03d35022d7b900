"""A network that computes with the leading share of its channels, and grows to its full width.

Source: slimmable networks, Yu et al. 2019, arXiv:1812.08928.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from optuna_nas.architecture import Architecture, Node
from optuna_nas.exceptions import SpaceError
from optuna_nas.model.build import build
from optuna_nas.model.network import Network

__all__ = ["Narrowing", "narrowed"]

WIDTHS = ("channels", "features")
"""Arguments of blocks that are the width of their output."""


def narrowed(architecture: Architecture, share: float) -> Architecture:
    """An architecture with a share of the channels or features of each of its nodes.

    Those that are divided among heads stay multiples of them. What is as wide as another node is
    so again.

    Args:
        architecture: The graph.
        share: Of the width, above 0 and at most 1.
    """
    divided = [node.args for node in architecture.nodes if "heads" in node.args]
    unit = math.lcm(*(args["heads"] * (2 if args.get("rotary") else 1) for args in divided))

    def narrow(node: Node) -> Node:
        widths = {k: _nearest(node.args[k], share, unit) for k in WIDTHS if k in node.args}
        return Node(node.name, node.kind, {**node.args, **widths}, node.inputs, node.module)

    return Architecture(tuple(map(narrow, architecture.nodes)), architecture.output)


class Narrowing:
    """Has a network compute with the leading channels of its own weights; shared by its copies.

    The weights stay those of the network, so that gradients, running statistics and checkpoints
    are its own, and wider channels go on from what narrower ones have learned. Channels that are
    not used yet are as they were drawn.

    Args:
        input_shape: Shape of one sample.
        outputs: Values per sample that the network returns.

    Attributes:
        share: Of the width, in the forward passes to come.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        self.share = 1.0
        self._input_shape = input_shape
        self._outputs = outputs
        self._parts: dict[tuple[str, float], nn.Module] = {}

    def __call__(self, network: Network, x: Tensor) -> Tensor:
        """The output (B, outputs) of the narrower network for inputs (B, *input_shape).

        Raises:
            SpaceError: Its architecture cannot be built as narrow as that.
        """
        part = self._part(network.architecture).train(network.training)
        found: Tensor = functional_call(part, dict(_leading(network, part)), (x,))
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> Narrowing:
        return self

    def _part(self, architecture: Architecture) -> nn.Module:
        key = architecture.digest, self.share
        if key not in self._parts:
            narrow = narrowed(architecture, self.share)
            try:
                part = build(narrow, self._input_shape, self._outputs, device="meta")
            except SpaceError as error:
                raise SpaceError(
                    f"expected a network that can be built with {self.share:.0%} of its width, "
                    f"which Budget(width=...) has, got {error}; begin wider, or leave width out"
                ) from error
            self._parts[key] = part
        return self._parts[key]


def _leading(network: nn.Module, part: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The leading entries of a network's weights and buffers, as many as its part has of each."""
    own = dict(chain(network.named_parameters(), network.named_buffers()))
    for name, tensor in chain(part.named_parameters(), part.named_buffers()):
        yield name, own[name][tuple(slice(size) for size in tensor.shape)]


def _nearest(width: int, share: float, unit: int) -> int:
    return min(width, max(unit, unit * round(width * share / unit)))
