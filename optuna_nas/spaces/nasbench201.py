"""Cells with six fixed edges."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from optuna_nas.architecture import INPUT, Architecture, Node
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces.allowed import check_allowed, restrict
from optuna_nas.spaces.choice import ask_option, check_image, check_options, check_sizes
from optuna_nas.spaces.space import register

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["EDGES", "OPERATORS", "NASBench201", "genotype", "operators_of", "published_form"]

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Nodes of the cell that each edge leads from and to, in the order of genotypes."""

NONE, SKIP = "none", "skip_connect"

OPERATORS = (NONE, SKIP, "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

ALWAYS = ("add", "batch_norm", "conv", "reduction")

_KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}

_GENOTYPE = re.compile(
    r"\|([^|~]+)~0\|\+\|([^|~]+)~0\|([^|~]+)~1\|\+\|([^|~]+)~0\|([^|~]+)~1\|([^|~]+)~2\|"
)


def operators_of(text: str) -> tuple[str, ...]:
    """Operators of the six `EDGES` that a published genotype names.

    Args:
        text: Such as `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|`.

    Raises:
        SpaceError: Text of another form, or an unknown operator.
    """
    match = _GENOTYPE.fullmatch(text)
    if match is None:
        raise SpaceError(
            "expected a genotype |OP~0|+|OP~0|OP~1|+|OP~0|OP~1|OP~2|, each OP one of "
            f"{', '.join(OPERATORS)}, got {text!r}"
        )
    return _checked(match.groups())


def genotype(operators: Sequence[str]) -> str:
    """The published text of a cell: `operators_of` restores its operators.

    Args:
        operators: Of the six `EDGES`.

    Raises:
        SpaceError: Not six, or an unknown operator.
    """
    a, b, c, d, e, f = _checked(operators)
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def published_form(operators: Sequence[str]) -> str:
    """The text by which the benchmark calls two cells isomorphic: 6,466 differ of 15,625.

    A skip is the text of the node that it reads, without parentheses; a zero is `#`, and stays in
    its sum; summands are sorted. So sums are neither nested nor flattened, and a node that is read
    twice is two equal ones: this tells other cells apart than the digest of their networks does.

    Args:
        operators: Of the six `EDGES`.

    Raises:
        SpaceError: Not six, or an unknown operator.

    Source: `to_unique_str` of the code published with Dong and Yang 2020, arXiv:2001.00326.
    """
    texts: dict[int, str] = {0: "0"}
    arriving: dict[int, list[str]] = {1: [], 2: [], 3: []}
    for (source, target), operator in zip(EDGES, _checked(operators), strict=True):
        read = texts[source]
        if operator == NONE or read == "#":
            read = "#"
        elif operator != SKIP:
            read = f"({read})@{operator}"
        arriving[target].append(read)
        texts[target] = "+".join(sorted(arriving[target]))
    return texts[3]


@register("nasbench201")
@dataclass(frozen=True, kw_only=True)
class NASBench201:
    """Three stages of equal cells with an operator on each of six edges: 5^6 = 15,625 cells.

    A cell has four nodes: its input, and three that each sum what an edge from every earlier node
    brings; the last is its output. A stem 3x3 leads to the first stage, residual blocks that halve
    the image and double the channels to the others; batch norm, ReLU, pooling and a linear layer
    end the network.

    Skips are wires, and sums of sums are one sum. What cannot depend on the image is left out:
    edges of "none", what reads nothing else (it would add one learned number to each channel), and
    what only they read. Where nothing arrives at a cell's output, the network is its bias alone.
    Cells that build one network have one digest: the 15,625 cells are 5,425 networks.

    Args:
        input_shape: Shape of one sample (C, H, W); the image is halved twice.
        operators: Operators of an edge, of "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"
            (ReLU, convolution, batch norm) and "avg_pool_3x3".
        cells: Cells in a stage; the benchmark's networks have 5.
        channels: Channels of the first stage; the benchmark's networks have 16.
        stages: Stages; the benchmark's networks have 3. With fewer, more of what a network sees of
            its image is up to the cells.
        keep_dead: Build the cell as it is written, dead edges included; the parameters and FLOPs
            that were published are those of this form.
        allowed: Kinds of blocks that the space may use, such as those that a backend can run
            (`backends.supported_blocks`); by default all.

    Raises:
        SpaceError: Bounds that allow nothing, at construction.

    Source: NAS-Bench-201, Dong and Yang 2020, arXiv:2001.00326.
    """

    input_shape: tuple[int, int, int] = (3, 32, 32)
    operators: tuple[str, ...] = OPERATORS
    cells: int = 5
    channels: int = 16
    stages: int = 3
    keep_dead: bool = False
    allowed: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        (cells,) = check_sizes("cells", (self.cells,))
        (channels,) = check_sizes("channels", (self.channels,))
        (stages,) = check_sizes("stages", (self.stages,))
        (keep_dead,) = check_options("keep_dead", (self.keep_dead,), (False, True))
        allowed = check_allowed(self.allowed)
        operators = check_options("operators", self.operators, OPERATORS)
        legal = {
            "input_shape": check_image(self.input_shape),
            "operators": restrict(operators, allowed, ALWAYS, _kinds(keep_dead)),
            "cells": cells,
            "channels": channels,
            "stages": stages,
            "keep_dead": keep_dead,
            "allowed": allowed,
        }
        for name, value in legal.items():
            object.__setattr__(self, name, value)
        if max(self.input_shape[1:]) < 3:
            raise SpaceError(
                "expected an image that can be halved twice, of 3 pixels or more, got "
                f"input_shape={self.input_shape}"
            )
        if self.operators == (NONE,):
            raise SpaceError(
                f"expected operators of which one does something, got {self.operators} and "
                f"allowed={allowed}"
            )

    def __call__(self, trial: BaseTrial) -> Architecture:
        """Draw an operator for each edge; the nodes are `stem`, `stage1_cell1_edge0_1`, ..."""
        return self._build([ask_option(trial, f"edge{a}-{b}", self.operators) for a, b in EDGES])

    def architecture(self, text: str) -> Architecture:
        """The network of a published genotype.

        Raises:
            SpaceError: Text of another form, or an operator that this space does not allow.
        """
        operators = operators_of(text)
        check_options("operators", dict.fromkeys(operators), self.operators)
        return self._build(operators)

    def genotype(self, architecture: Architecture) -> str:
        """A published genotype of a network that this space has drawn.

        Where several cells are this very network, the first of them in the order of `operators`.

        Raises:
            SpaceError: A network that this space does not draw.
        """
        nodes = {node.name: (node.kind, dict(node.args)) for node in architecture.nodes}
        for operators in product(*(self._fitting(nodes, a, b) for a, b in EDGES)):
            if self._build(operators) == architecture:
                return genotype(operators)
        raise SpaceError(f"expected a network of {self}, got {architecture.describe()}")

    def _fitting(
        self, nodes: Mapping[str, tuple[str, dict[str, Any]]], source: int, target: int
    ) -> list[str]:
        """Operators that an edge may have: those of its node, or those that need none."""
        node = nodes.get(f"stage1_cell1_edge{source}_{target}")
        if node is None:
            return [operator for operator in self.operators if operator in (NONE, SKIP)]
        return [o for o in self.operators if o != SKIP and _block(o, self.channels) == node]

    def _build(self, operators: Sequence[str]) -> Architecture:
        stem = {"channels": self.channels, "kernel": 3, "activation": "none"}
        nodes, source = [Node("stem", "conv", stem, (INPUT,))], "stem"
        for stage in range(1, self.stages + 1):
            channels = self.channels * 2 ** (stage - 1)
            if stage > 1:
                name = f"reduction{stage - 1}"
                nodes.append(Node(name, "reduction", {"channels": channels}, (source,)))
                source = name
            for number in range(1, self.cells + 1):
                cell = f"stage{stage}_cell{number}"
                added, source = self._cell(cell, source, operators, channels)
                nodes += added
                if not source:
                    return Architecture.chain([("classify", "constant", {})])
        nodes.append(Node("norm", "batch_norm", {"activation": "relu"}, (source,)))
        nodes.append(Node("classify", "classify", {}, ("norm",)))
        return Architecture(Architecture(tuple(nodes)).alive)

    def _cell(
        self, cell: str, source: str, operators: Sequence[str], channels: int
    ) -> tuple[list[Node], str]:
        """Nodes of a cell, and the name of its output; empty where nothing arrives there."""
        nodes: list[Node] = []
        arriving: dict[int, list[str]] = {0: [source], 1: [], 2: [], 3: []}
        for (a, b), operator in zip(EDGES, operators, strict=True):
            if not arriving[a] or (operator == NONE and not self.keep_dead):
                continue
            if operator == SKIP:
                arriving[b] += arriving[a]
                continue
            kind, args = _block(operator, channels)
            read = _joined(nodes, f"{cell}_node{a}", arriving[a])
            nodes.append(Node(f"{cell}_edge{a}_{b}", kind, args, (read,)))
            arriving[b].append(nodes[-1].name)
        return nodes, _joined(nodes, f"{cell}_node3", arriving[3])


def _block(operator: str, channels: int) -> tuple[str, dict[str, Any]]:
    """Kind and arguments of the node of an operator that is no wire."""
    if operator == NONE:
        return "zero", {}
    if operator == "avg_pool_3x3":
        return "pool", {"mode": "avg", "kernel": 3}
    return "relu_conv", {"channels": channels, "kernel": _KERNELS[operator]}


def _kinds(keep_dead: bool) -> dict[str, str]:
    """Kind of the block of each operator that is no wire; without dead edges, none is no block."""
    kinds = {operator: _block(operator, 1)[0] for operator in OPERATORS if operator != SKIP}
    return {operator: kind for operator, kind in kinds.items() if keep_dead or operator != NONE}


def _joined(nodes: list[Node], name: str, arriving: Sequence[str]) -> str:
    """Name of the sum of what arrives, whose node is added where it needs one."""
    if len(arriving) > 1:
        nodes.append(Node(name, "add", {}, tuple(arriving)))
        return name
    return arriving[0] if arriving else ""


def _checked(operators: Sequence[str]) -> tuple[str, ...]:
    if len(operators) != len(EDGES) or not set(operators) <= set(OPERATORS):
        raise SpaceError(
            f"expected {len(EDGES)} operators of {', '.join(OPERATORS)}, "
            f"got {', '.join(map(str, operators))}"
        )
    return tuple(operators)
