"""All networks of a space as one, whose nodes run several operators at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from optuna_nas.architecture import INPUT, Node
from optuna_nas.blocks import Head, find
from optuna_nas.exceptions import SpaceError
from optuna_nas.model import build
from optuna_nas.supernet.differentiable.alphas import Alphas
from optuna_nas.supernet.differentiable.graph import CONSTANT, SUM
from optuna_nas.supernet.differentiable.mixed_node import MixedNode, mixed_node
from optuna_nas.supernet.differentiable.relaxation import Kept, Relaxation
from optuna_nas.supernet.differentiable.weighting import Softmax, Weighting, Weights

__all__ = ["MixedNetwork"]


class MixedNetwork(nn.Module):
    """All networks of a relaxation at once, (B, *input_shape) -> (B, outputs).

    The architecture parameters are none of its own: what trains its weights leaves them alone.
    Scale and shift of batch norm in operators are held at 1 and 0, since they would make up for
    small weights of operators.

    Args:
        relaxation: The choices.
        alphas: Architecture parameters.
        weighting: How these become weights of operators.
        partial: Only one in so many channels goes through operators, the others pass by.
        dropout: Chance that a value is dropped that an operator without weights returns, such as a
            skip, at first; falls to 0.

    Attributes:
        progress: Share of the search that is done, from 0 up to 1.
        drawing: Whether weights are drawn, where the weighting does; else their softmax is used.

    Raises:
        SpaceError: Operators that cannot run on a part of the channels; names the node.

    Source: DARTS, Liu et al. 2019, arXiv:1806.09055; partial channels: PC-DARTS, Xu et al. 2020,
    arXiv:1907.05737; dropout of skips: P-DARTS, Chen et al. 2019, arXiv:1904.12760.
    """

    def __init__(
        self,
        relaxation: Relaxation,
        alphas: Alphas,
        weighting: Weighting | None = None,
        partial: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.relaxation = relaxation
        self.__dict__["alphas"] = alphas  # no submodule: its parameters are not this one's
        self._weighting = weighting or Softmax()
        self._partial = partial
        self._dropout = dropout
        self.progress = 0.0
        self.drawing = True
        self._kept: Kept | None = None
        self._given: Sequence[Tensor] | None = None
        self.nodes = nn.ModuleDict()
        self._choice_of = {
            node: number for number, c in enumerate(relaxation.choices) for node in c.operators
        }
        for node in relaxation.architecture.alive:
            if node.name in self._choice_of:
                operators = relaxation.choices[self._choice_of[node.name]].operators[node.name]
                self.nodes[node.name] = mixed_node(relaxation, node, operators, partial)
            else:
                self.nodes[node.name] = relaxation.configured[node.name].build()

    @property
    def input_dtype(self) -> torch.dtype | None:
        """Of the input, where it is no floats."""
        readers = [n.name for n in self.relaxation.architecture.alive if INPUT in n.inputs]
        found = (getattr(self.nodes[name], "input_dtype", None) for name in readers)
        return next(filter(None, found), None)

    def forward(self, x: Tensor) -> Tensor:
        weights = self._weights()
        rate = self._dropout * (1 - self.progress) if self.training else 0.0
        values: dict[str, Tensor | None] = {INPUT: x}
        for node in self.relaxation.architecture.alive:
            inputs = self._inputs(node, [values[source] for source in node.inputs], len(x), x)
            block = self.nodes[node.name]
            if inputs is None:
                values[node.name] = None
            elif isinstance(block, MixedNode):
                values[node.name] = block(inputs, weights[self._choice_of[node.name]], rate)
            else:
                values[node.name] = block(*inputs)
        output = self.relaxation.architecture.output
        result = values[output]
        if result is None:
            return x.new_zeros(len(x), *self.relaxation.configured[output].output_shape)
        return result

    @contextmanager
    def keeping(self, kept: Kept | None) -> Iterator[None]:
        """Run one network alone, all weight being on its operators.

        Args:
            kept: The option of each choice; None for all of them.
        """
        before, self._kept = self._kept, kept
        try:
            yield
        finally:
            self._kept = before

    @contextmanager
    def weighing(self, values: Sequence[Tensor]) -> Iterator[None]:
        """Run with given weights of operators, whatever the architecture parameters.

        Args:
            values: Weights of the options (K,), for each choice; what has 0 does not run.
        """
        before, self._given = self._given, values
        try:
            yield
        finally:
            self._given = before

    def extract(self, kept: Kept) -> nn.Module:
        """One network on its own, with copies of the weights that its operators have here.

        Raises:
            SpaceError: Operators run on a part of the channels.
        """
        relaxation = self.relaxation
        if self._partial > 1:
            raise SpaceError(
                "expected operators that run on all channels, whose weights a network can have, "
                f"got partial={self._partial}"
            )
        architecture = relaxation.discrete(kept)
        network = build(architecture, relaxation.input_shape, relaxation.outputs)
        state = {
            f"{node.name}.{name}": value.clone()
            for node in architecture.alive
            if node.name in self.nodes
            for name, value in self._state(node, kept).items()
        }
        network.load_state_dict(state, assign=True)
        return network

    def _state(self, node: Node, kept: Kept) -> Mapping[str, Tensor]:
        """Weights of a node of one network."""
        block = self.nodes[node.name]
        if isinstance(block, MixedNode):
            operator = block.block(kept[self._choice_of[node.name]])
            return {} if operator is None else operator.state_dict()
        if node.kind == CONSTANT:  # what the head makes of nothing
            (shape,) = self.relaxation.configured[node.name].inputs
            zeros = next(block.parameters()).new_zeros(1, *shape)
            return {"bias": block(zeros)[0].detach()}
        return block.state_dict()

    def _weights(self) -> list[Weights]:
        alphas: Alphas = self.__dict__["alphas"]
        if self._kept is not None:
            return [
                Weights.one(self._kept[n], a) if n in self._kept else Weights(a * 0, ())
                for n, a in enumerate(alphas.operators)
            ]
        factors = alphas.factors()
        if self._given is not None:
            active = [tuple(value.nonzero().flatten().tolist()) for value in self._given]
            return [
                Weights(value, options, factors.get(n, 1.0))
                for n, (value, options) in enumerate(zip(self._given, active, strict=True))
            ]
        weighting = self._weighting if self.drawing and self.training else Softmax()
        found = [weighting(alpha, self.progress) for alpha in alphas.operators]
        return [w._replace(factor=factors.get(n, w.factor)) for n, w in enumerate(found)]

    def _inputs(
        self, node: Node, values: Sequence[Tensor | None], batch: int, like: Tensor
    ) -> list[Tensor] | None:
        """What a node takes; None where nothing arrives at it. A head takes zeros then."""
        there = [value for value in values if value is not None]
        if not there and not issubclass(find(node.kind), Head):
            return None
        if node.kind == SUM or len(there) == len(values):
            return there
        shapes = self.relaxation.configured[node.name].inputs
        return [
            like.new_zeros(batch, *shape) if value is None else value
            for value, shape in zip(values, shapes, strict=True)
        ]
