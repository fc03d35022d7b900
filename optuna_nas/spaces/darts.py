"""DARTS: a normal and a reduction cell, stacked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from optuna_nas.architecture import INPUT, Architecture, Node
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces.allowed import check_allowed, restrict
from optuna_nas.spaces.canonical import Vertex, canonical
from optuna_nas.spaces.choice import ask_option, check_image, check_options, check_sizes
from optuna_nas.spaces.genotype import OPERATORS, Edge, Genotype
from optuna_nas.spaces.space import register

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["DARTS"]

ALWAYS = ("add", "concat", "conv", "factorized_reduce", "relu_conv")
REDUCTIONS = 2

# A skip is a wire, or halves the image as every network must.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "max_pool_3x3": ("pool", {"mode": "max", "kernel": 3}),
    "avg_pool_3x3": ("pool", {"mode": "avg", "kernel": 3}),
    "sep_conv_3x3": ("sep_conv", {"kernel": 3}),
    "sep_conv_5x5": ("sep_conv", {"kernel": 5}),
    "dil_conv_3x3": ("dil_conv", {"kernel": 3}),
    "dil_conv_5x5": ("dil_conv", {"kernel": 5}),
}


@register("darts")
@dataclass(frozen=True, kw_only=True)
class DARTS:
    """A stem, cells of two kinds and a classifier, without auxiliary head and drop path.

    Each cell reads from the two cells before it. At a third and at two thirds of the layers are
    reduction cells, which halve the image and double the channels. The published network for
    CIFAR-10 is `DARTS(layers=20, channels=36)`; the default is a proxy.

    Each node of a cell draws two different inputs, as a pair, and an operator for each. "none"
    leaves an edge out; a node is left at least one. By default there are (180 x 63^4)^2 (8.0e18)
    sets of parameters: 1 x 3 x 6 x 10 ways to choose inputs, and 63 pairs of operators a node.
    Cells that are isomorphic, that differ in edges left out, or in a cell that nothing reads, are
    one network and have one digest. Parallel sums of skips, nested differently, are not seen to
    be equal.

    Args:
        input_shape: Shape of one sample (C, H, W).
        layers: Number of cells, at least 3.
        channels: Channels of a node in the first cells, at least 2.
        nodes: Nodes of a cell, besides its two inputs.
        stem: Channels of the stem, as a multiple of `channels`.
        operators: Operators of an edge.
        allowed: Kinds of blocks that the space may use, such as those that a backend can run
            (`backends.supported_blocks`); by default all.

    Raises:
        SpaceError: Bounds that allow nothing, at construction.

    Source: Liu et al. 2018, arXiv:1806.09055.
    """

    input_shape: tuple[int, int, int] = (3, 32, 32)
    layers: int = 8
    channels: int = 16
    nodes: int = 4
    stem: int = 3
    operators: tuple[str, ...] = OPERATORS
    allowed: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        check_sizes("layers", (self.layers,), low=REDUCTIONS + 1)
        check_sizes("channels", (self.channels,), low=2)
        check_sizes("nodes", (self.nodes,))
        check_sizes("stem", (self.stem,))
        allowed = check_allowed(self.allowed)
        kinds = {operator: kind for operator, (kind, _) in KINDS.items()}
        operators = check_options("operators", self.operators, OPERATORS)
        operators = restrict(operators, allowed, ALWAYS, kinds)
        if not set(operators) - {"none"}:
            raise SpaceError(
                f"expected operators beside 'none', got operators={self.operators} and "
                f"allowed={allowed}"
            )
        object.__setattr__(self, "allowed", allowed)
        object.__setattr__(self, "operators", operators)
        object.__setattr__(self, "input_shape", check_image(self.input_shape))
        if min(self.input_shape[1:]) <= 2 ** (REDUCTIONS - 1):
            raise SpaceError(
                f"expected an image of at least 3 x 3 pixels, to be halved {REDUCTIONS} times, "
                f"got input_shape={self.input_shape}"
            )

    def __call__(self, trial: BaseTrial) -> Architecture:
        """Draw an architecture: `stem`, `cell1_pre0`, ..., `cell1`, ... and `classify`."""
        return self.architecture(self.genotype(trial))

    def genotype(self, trial: BaseTrial) -> Genotype:
        """Draw a genotype; with an `optuna.trial.FixedTrial`, that of a set of parameters."""
        return Genotype.of(*(tuple(self._cell(trial, cell)) for cell in ("normal", "reduce")))

    def parameters(self, genotype: Genotype) -> dict[str, Any]:
        """Parameters for which `genotype` is drawn, to be enqueued in a study, for instance.

        Raises:
            SpaceError: A genotype that is not of this space.
        """
        from optuna.trial import FixedTrial

        self._check(genotype)
        answers: dict[str, Any] = {}
        for cell in ("normal", "reduce"):
            for number, edges in enumerate(_pairs(getattr(genotype, cell)), start=2):
                name = f"{cell}.node{number}"
                answers[f"{name}.inputs"] = "-".join(str(source) for _, source in edges)
                for operator, source in edges:
                    answers |= dict.fromkeys(_names(name, source), operator)
        trial = FixedTrial(answers)
        self.genotype(trial)
        return trial.params

    def architecture(self, genotype: Genotype) -> Architecture:
        """Build the architecture of a genotype.

        Raises:
            SpaceError: A genotype that is not of this space.
        """
        self._check(genotype)
        return self._stack(_canonical(genotype.normal), _canonical(genotype.reduce))

    def dense(self, operator: str) -> Architecture:
        """The architecture in which each node reads all before it, by one operator.

        No genotype of the space is this one: it is what differentiable search begins from. Its
        nodes are `cell1_node2_from0`, ..., where they are no wires.

        Args:
            operator: Of all edges, and not "none".

        Raises:
            SpaceError: An operator that this space does not allow.
        """
        check_options("operator", (operator,), [o for o in self.operators if o != "none"])
        numbers = range(2, self.nodes + 2)
        cell: list[Vertex] = [("", tuple((operator, k) for k in range(n))) for n in numbers]
        return self._stack(cell, cell)

    @property
    def reductions(self) -> frozenset[int]:
        """Numbers of the reduction cells, from 1."""
        return frozenset(k * self.layers // 3 + 1 for k in range(1, REDUCTIONS + 1))

    def _stack(self, normal: list[Vertex], reduce: list[Vertex]) -> Architecture:
        channels, before, last, reduced = self.channels, "stem", "stem", False
        stem = {"channels": self.stem * channels, "kernel": 3, "activation": "none"}
        nodes = [Node("stem", "conv", stem, (INPUT,))]
        for layer in range(1, self.layers + 1):
            reduction = layer in self.reductions
            channels *= 2 if reduction else 1
            name = f"cell{layer}"
            nodes += _inputs(name, channels, before, last, reduced)
            nodes += _body(name, reduce if reduction else normal, channels, reduction)
            before, last, reduced = last, name, reduction
        return Architecture((*nodes, Node("classify", "classify", {}, (last,))))

    def _cell(self, trial: BaseTrial, cell: str) -> Iterator[Edge]:
        for number in range(2, self.nodes + 2):
            name = f"{cell}.node{number}"
            pairs = [f"{a}-{b}" for a, b in combinations(range(number), 2)]
            first, second = map(int, ask_option(trial, f"{name}.inputs", pairs).split("-"))
            one = ask_option(trial, f"{name}.from{first}", self.operators)
            yield one, first
            yield self._second(trial, name, second, one == "none"), second

    def _second(self, trial: BaseTrial, name: str, source: int, alone: bool) -> str:
        """Ask for an operator; beside an edge that is left out, by a name that says so."""
        usual, only = _names(name, source)
        if not alone:
            return ask_option(trial, usual, self.operators)
        return ask_option(trial, only, [o for o in self.operators if o != "none"])

    def _check(self, genotype: Genotype) -> None:
        for name in ("normal", "reduce"):
            edges = getattr(genotype, name)
            if len(edges) != 2 * self.nodes:
                raise SpaceError(
                    f"expected {self.nodes} nodes in {name}, got {len(edges) // 2}; "
                    f"use DARTS(nodes={len(edges) // 2})"
                )
            if not {operator for operator, _ in edges} <= set(self.operators):
                raise SpaceError(f"expected in {name} operators of {self.operators}, got {edges}")


def _names(node: str, source: int) -> tuple[str, str]:
    """Name of the parameter of an edge, and where it is the only edge of its node."""
    return f"{node}.from{source}", f"{node}.from{source}_alone"


def _pairs(edges: tuple[Edge, ...]) -> list[tuple[Edge, ...]]:
    return [edges[k : k + 2] for k in range(0, len(edges), 2)]


def _canonical(edges: tuple[Edge, ...]) -> list[Vertex]:
    """Nodes without the edges that are left out; equal for isomorphic cells."""
    kept = [("", tuple(edge for edge in pair if edge[0] != "none")) for pair in _pairs(edges)]
    return canonical(kept, inputs=2)


def _inputs(name: str, channels: int, before: str, last: str, reduced: bool) -> list[Node]:
    """Bring both inputs of a cell to its channels, and to the size of the later one."""
    pointwise = {"channels": channels, "kernel": 1}
    if reduced:
        first = Node(f"{name}_pre0", "factorized_reduce", {"channels": channels}, (before,))
    else:
        first = Node(f"{name}_pre0", "relu_conv", pointwise, (before,))
    return [first, Node(f"{name}_pre1", "relu_conv", pointwise, (last,))]


def _body(name: str, cell: list[Vertex], channels: int, reduction: bool) -> list[Node]:
    nodes: list[Node] = []
    states = [f"{name}_pre0", f"{name}_pre1"]
    for number, (_, edges) in enumerate(cell, start=2):
        arriving = []
        for operator, source in edges:
            stride = 2 if reduction and source < 2 else 1
            kind, args = _operator(operator, channels, stride)
            arriving.append(states[source])
            if kind:
                edge = f"{name}_node{number}_from{source}"
                nodes.append(Node(edge, kind, args, (arriving.pop(),)))
                arriving.append(edge)
        if len(arriving) > 1:
            nodes.append(Node(f"{name}_node{number}", "add", {}, tuple(arriving)))
            arriving = [f"{name}_node{number}"]
        states += arriving
    return [*nodes, Node(name, "concat", {}, tuple(states[2:]))]


def _operator(operator: str, channels: int, stride: int) -> tuple[str, dict[str, Any]]:
    """Kind and arguments of an edge's block; no kind for a wire."""
    if operator == "skip_connect":
        return ("factorized_reduce", {"channels": channels}) if stride > 1 else ("", {})
    kind, args = KINDS[operator]
    size = {} if kind == "pool" else {"channels": channels}
    return kind, {**size, **args, "stride": stride}
