"""A space as one graph whose nodes choose between operators."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from optuna_nas.architecture import Architecture
from optuna_nas.blocks import Head, find
from optuna_nas.exceptions import SpaceError
from optuna_nas.model.configuration import Configuration, configurations
from optuna_nas.samplers.virtual import draw
from optuna_nas.supernet.differentiable.graph import NONE, SKIP, Operator, substitute

__all__ = ["Choice", "Kept", "Relaxation", "Space"]

Space = Callable[[Any], Any]
Kept = Mapping[int, int]
"""Number of a choice -> number of its option; nothing comes of choices that are left out."""


@dataclass(frozen=True)
class Choice:
    """One decision between operators, the same in all nodes that it concerns.

    Args:
        name: Its parameter of the space; several are joined by commas.
        options: Parameters of the space for each option.
        operators: Name of a node -> its operator for each option.
    """

    name: str
    options: tuple[Mapping[str, Any], ...]
    operators: Mapping[str, tuple[Operator, ...]]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """A readable name of each option."""
        return tuple(", ".join(map(str, option.values())) for option in self.options)

    @cached_property
    def cell(self) -> str:
        """The scope of its parameter, such as "normal"; empty without one."""
        scope, point, _ = self.name.partition(".")
        return scope if point else ""

    def skips(self, option: int) -> bool:
        """Whether a node is a wire by an option."""
        return any(operators[option] == SKIP for operators in self.operators.values())


@dataclass(frozen=True)
class Relaxation:
    """All networks of a space as choices between operators in one graph.

    Args:
        space: The space.
        architecture: The graph.
        choices: The choices.
        input_shape: Shape of one sample.
        outputs: Values per sample that a network returns.
        base: Parameters of the space where no choice says otherwise.
        joins: Choices, by their numbers, whose nodes compete for a place in one sum.

    Raises:
        SpaceError: There is no choice, nodes share a module, an operator does not fit its node, or
            its output has another shape than that of others; names the parameter.
    """

    space: Space
    architecture: Architecture
    choices: tuple[Choice, ...]
    input_shape: tuple[int, ...]
    outputs: int
    base: Mapping[str, Any] = field(default_factory=dict)
    joins: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if not self.choices:
            raise SpaceError(
                "expected a space with parameters that choose operators of nodes, got none; "
                "there is nothing to search by gradients"
            )
        if len(self.architecture.modules) < len(self.architecture.alive):
            raise SpaceError(
                "expected nodes that have weights of their own, got some that share a module: "
                f"{self.architecture.describe()}"
            )
        for choice in self.choices:
            for node, operators in choice.operators.items():
                for option, operator in zip(choice.options, operators, strict=True):
                    self._check(choice.name, option, node, operator)

    @cached_property
    def configured(self) -> dict[str, Configuration]:
        """Block configuration of each node of the graph, by its name."""
        found = configurations(self.architecture, self.input_shape, self.outputs)
        return {n.name: c for n, c in zip(self.architecture.alive, found, strict=True)}

    @cached_property
    def free(self) -> tuple[tuple[bool, ...], ...]:
        """Whether each option of each choice is without weights."""
        return tuple(
            tuple(not self._weighs(choice, option) for option in range(len(choice.options)))
            for choice in self.choices
        )

    def configuration(self, node: str, operator: Operator) -> Configuration | None:
        """The block of a node that has an operator; None for `SKIP` and `NONE`."""
        if operator in (SKIP, NONE):
            return None
        args = json.loads(operator.args)
        if issubclass(find(operator.kind), Head):
            args["outputs"] = self.outputs
        inputs = self.configured[node].inputs
        return Configuration(operator.kind, json.dumps(args, sort_keys=True), inputs)

    def kept(self, strengths: Sequence[Tensor]) -> Kept:
        """The options of the network that weights of options stand for: the strongest.

        Args:
            strengths: Weights of the options (K,), for each choice.
        """
        return {number: int(weights.argmax()) for number, weights in enumerate(strengths)}

    def params(self, kept: Kept) -> dict[str, Any]:
        """Parameters for which the space draws the network."""
        values = dict(self.base)
        for number, option in kept.items():
            values |= self.choices[number].options[option]
        return dict(draw(self.space, lambda name, _: values[name]).params)

    def network(self, params: Mapping[str, Any]) -> Architecture:
        """The network that the space draws for its parameters."""
        architecture: Architecture = draw(self.space, lambda name, _: params[name]).drawn
        return architecture

    def discrete(self, kept: Kept) -> Architecture:
        """The network with the names that nodes have in the graph."""
        chosen = {
            node: operators[kept[number]] if number in kept else NONE
            for number, choice in enumerate(self.choices)
            for node, operators in choice.operators.items()
        }
        return substitute(self.architecture, chosen)

    def _weighs(self, choice: Choice, option: int) -> bool:
        """Whether an option brings weights, in any of its nodes."""
        found = (self.configuration(n, ops[option]) for n, ops in choice.operators.items())
        with torch.device("meta"):
            return any(c is not None and any(True for _ in c.build().parameters()) for c in found)

    def _check(self, name: str, option: Mapping[str, Any], node: str, operator: Operator) -> None:
        if operator == NONE:
            return
        own, configuration = self.configured[node], self.configuration(node, operator)
        try:
            shape = own.inputs[0] if configuration is None else configuration.output_shape
        except (TypeError, ValueError, RuntimeError) as error:
            raise SpaceError(
                f"expected operators of one graph, got {dict(option)}, by which node {node!r} "
                f"cannot be built: {error}"
            ) from error
        if shape != own.output_shape:
            raise SpaceError(
                "expected parameters that choose operators of one shape, to be searched by "
                f"gradients, got {name!r}, of which {dict(option)} gives node {node!r} the output "
                f"{shape} instead of {own.output_shape}; fix it in the space"
            )
