"""A node that runs several operators at once, and weighs what they return."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.modules.batchnorm import _BatchNorm

from optuna_nas.architecture import Node
from optuna_nas.blocks import Shape, find
from optuna_nas.exceptions import SpaceError
from optuna_nas.model.configuration import Configuration
from optuna_nas.supernet.differentiable.graph import NONE, Operator
from optuna_nas.supernet.differentiable.relaxation import Relaxation
from optuna_nas.supernet.differentiable.weighting import Weights

__all__ = ["MixedNode", "mixed_node"]


class MixedNode(nn.Module):
    """The weighted sum of what several operators return of the same inputs.

    Args:
        operators: Operator of each option.
        blocks: Block of each operator that has one.
        partial: One in so many channels goes through operators.
        bypass: What brings the other channels to the size of the output.
    """

    def __init__(
        self,
        operators: Sequence[Operator],
        blocks: Mapping[Operator, nn.Module],
        partial: int = 1,
        bypass: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.operators = tuple(operators)
        self.partial = partial
        self.bypass = bypass or nn.Identity()
        self._number = {operator: str(n) for n, operator in enumerate(blocks)}
        self.blocks = nn.ModuleDict({self._number[o]: block for o, block in blocks.items()})
        self._learning = {
            o for o, block in blocks.items() if any(True for _ in block.parameters())
        }
        for part in self.blocks.modules():
            if isinstance(part, _BatchNorm) and part.affine:
                part.weight.requires_grad_(False)
                part.bias.requires_grad_(False)

    @property
    def input_dtype(self) -> torch.dtype | None:
        """Of the input, where it is no floats."""
        found = (getattr(block, "input_dtype", None) for block in self.blocks.values())
        return next(filter(None, found), None)

    def block(self, option: int) -> nn.Module | None:
        """The block of an option; None for a wire, and for nothing."""
        return self._block(self.operators[option])

    def forward(
        self, inputs: Sequence[Tensor], weights: Weights, rate: float = 0.0
    ) -> Tensor | None:
        """Weigh what operators return; None where nothing comes of any that run.

        Args:
            inputs: Inputs (B, C, ...).
            weights: Of the options.
            rate: Chance that a value is dropped that an operator without weights returns.
        """
        if self.partial == 1:
            total = self._sum(inputs, weights, rate)
            return None if total is None else weights.factor * total
        (x,) = inputs
        size = x.shape[1] // self.partial
        beside = self.bypass(x[:, size:])
        mixed = self._sum([x[:, :size]], weights, rate)
        if mixed is None:
            mixed = torch.zeros_like(beside[:, :size])
        return weights.factor * _shuffled(torch.cat((mixed, beside), dim=1), self.partial)

    def _block(self, operator: Operator) -> nn.Module | None:
        return self.blocks[self._number[operator]] if operator in self._number else None

    def _sum(self, inputs: Sequence[Tensor], weights: Weights, rate: float) -> Tensor | None:
        shares: dict[Operator, Tensor] = {}  # several options may have one operator
        for option in weights.active:
            operator, share = self.operators[option], weights.values[option]
            shares[operator] = shares[operator] + share if operator in shares else share
        total: Tensor | None = None
        for operator, share in shares.items():
            if operator == NONE:
                continue
            block = self._block(operator)
            out = inputs[0] if block is None else block(*inputs)
            if rate and operator not in self._learning:
                out = dropout(out, rate)
            total = share * out if total is None else total + share * out
        return total


def mixed_node(
    relaxation: Relaxation, node: Node, operators: Sequence[Operator], partial: int
) -> MixedNode:
    """A node of a relaxation as a module.

    Args:
        relaxation: The choices.
        node: The node.
        operators: Its operator for each option of its choice.
        partial: One in so many channels goes through operators.

    Raises:
        SpaceError: Operators that cannot run on a part of the channels; names the node.
    """
    own = relaxation.configured[node.name]
    found = {o: relaxation.configuration(node.name, o) for o in dict.fromkeys(operators)}
    configurations = {o: c for o, c in found.items() if c is not None}
    if partial == 1:
        return MixedNode(operators, {o: c.build() for o, c in configurations.items()})
    inside, outside = own.inputs[0], own.output_shape
    part = (inside[0] // partial, *inside[1:])
    if len(own.inputs) > 1 or inside[0] % partial or outside[0] != inside[0]:
        raise SpaceError(
            f"expected nodes that keep their channels, a multiple of partial={partial}, got "
            f"{node.name!r} from {inside} to {outside}; use other widths, or partial=1"
        )
    wanted = (part[0], *outside[1:])
    blocks = {o: _part(node, c, part, wanted).build() for o, c in configurations.items()}
    return MixedNode(operators, blocks, partial, _bypass(inside, outside, partial))


def _part(node: Node, whole: Configuration, part: Shape, wanted: Shape) -> Configuration:
    """A block for a part of the channels."""
    args = json.loads(whole.args)
    if "channels" in args:
        args["channels"] = wanted[0]
    found = replace(whole, args=json.dumps(args, sort_keys=True), inputs=(part,))
    try:
        shape = found.output_shape
    except (TypeError, ValueError, RuntimeError) as error:
        raise SpaceError(
            f"expected operators that run on {part[0]} channels, got {whole} at {node.name!r}: "
            f"{error}; use partial=1"
        ) from error
    if shape != wanted:
        raise SpaceError(
            f"expected operators that return {wanted} of a part of the channels, got {whole} at "
            f"{node.name!r}, which returns {shape}; use partial=1"
        )
    return found


def _bypass(inside: Shape, outside: Shape, partial: int) -> nn.Module:
    """The other channels pass as they are, or halved as the operators halve."""
    if inside[1:] == outside[1:]:
        return nn.Identity()
    rest = (inside[0] - inside[0] // partial, *inside[1:])
    return find("pool")(rest, mode="max", kernel=2, stride=2)


def _shuffled(x: Tensor, groups: int) -> Tensor:
    """Channels of groups in turn, so that the next node finds others in its part."""
    grouped = x.view(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    return grouped.transpose(1, 2).reshape(x.shape)
