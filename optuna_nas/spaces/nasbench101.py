"""NAS-Bench-101: cells that are free graphs of operators, stacked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna_nas.architecture import INPUT, Architecture, Node
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces.allowed import check_allowed, restrict
from optuna_nas.spaces.choice import ask_option, check_image, check_options, check_sizes
from optuna_nas.spaces.matrix_cell import OPERATORS, MatrixCell
from optuna_nas.spaces.space import register

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["NASBench101"]

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "conv1x1-bn-relu": ("conv", {"kernel": 1}),
    "conv3x3-bn-relu": ("conv", {"kernel": 3}),
    "maxpool3x3": ("pool", {"mode": "max", "kernel": 3}),
}


@register("nasbench101")
@dataclass(frozen=True, kw_only=True)
class NASBench101:
    """A stem, stacks of equal cells with halvings between, and a classifier.

    A vertex adds up what it reads, and the output joins the channels of what it reads. Whatever is
    read from the cell's input passes a convolution 1x1 of its own. The channels of the output are
    divided among the vertices that it reads from; the first get one more where that leaves a
    rest. Each halving (maximum of 2x2 pixels) doubles the channels. The published network is
    `NASBench101(channels=128)`; the default is a proxy.

    A cell is drawn from the output back: whether a vertex reads from another is only asked of
    vertices that are read themselves, and while the edges last; a vertex that reads from no other
    reads from the input. So each set of parameters is a cell without dead vertices. By default
    there are 1,824,025 sets, of the 423,624 published cells: isomorphic cells are one network and
    have one digest.

    Args:
        input_shape: Shape of one sample (C, H, W).
        vertices: Most vertices of a cell, input and output included, at least 2.
        edges: Most edges of a cell.
        operators: Operators of the vertices between input and output.
        stacks: Number of stacks, with a halving between two.
        cells: Number of cells in a stack.
        channels: Channels in the first stack, at least one for each vertex between the ends.
        allowed: Kinds of blocks that the space may use, such as those that a backend can run
            (`backends.supported_blocks`); by default all.

    Raises:
        SpaceError: Bounds that allow nothing, at construction.

    Source: Ying et al. 2019, arXiv:1902.09635.
    """

    input_shape: tuple[int, int, int] = (3, 32, 32)
    vertices: int = 7
    edges: int = 9
    operators: tuple[str, ...] = OPERATORS
    stacks: int = 3
    cells: int = 3
    channels: int = 16
    allowed: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        check_sizes("vertices", (self.vertices,), low=2)
        for name in ("edges", "stacks", "cells"):
            check_sizes(name, (getattr(self, name),))
        check_sizes("channels", (self.channels,), low=max(1, self.vertices - 2))
        allowed = check_allowed(self.allowed)
        operators = check_options("operators", self.operators, OPERATORS)
        kinds = {operator: kind for operator, (kind, _) in KINDS.items()}
        operators = restrict(operators, allowed, self._always(), kinds)
        object.__setattr__(self, "allowed", allowed)
        object.__setattr__(self, "operators", operators)
        object.__setattr__(self, "input_shape", check_image(self.input_shape))
        halvings = self.stacks - 1
        if max(self.input_shape[1:]) <= 2 ** (halvings - 1):
            raise SpaceError(
                f"expected an image that can be halved {halvings} times, got "
                f"input_shape={self.input_shape}; use fewer stacks or larger images"
            )

    def __call__(self, trial: BaseTrial) -> Architecture:
        """Draw an architecture: `stem`, `stack1_cell1_...`, ... and `classify`."""
        return self.architecture(self.cell(trial))

    def cell(self, trial: BaseTrial) -> MatrixCell:
        """Draw a cell; with an `optuna.trial.FixedTrial`, that of a set of parameters."""
        output = self.vertices - 1
        ops = ["input", *[self.operators[0]] * (self.vertices - 2), "output"]
        alive, edges = {output}, list[tuple[int, int]]()
        for vertex in range(output, 0, -1):
            if vertex not in alive:
                continue
            if vertex < output:
                ops[vertex] = ask_option(trial, f"operator{vertex}", self.operators)
            spare = self.edges - len(edges) - sum(0 < v <= vertex for v in alive)
            read = self._sources(trial, vertex, alive, spare)
            edges += [(source, vertex) for source in read]
            alive |= set(read)
        return MatrixCell.of(edges, ops).pruned()

    def parameters(self, cell: MatrixCell) -> dict[str, Any]:
        """Parameters for which `cell` is drawn, to be enqueued in a study, for instance.

        Raises:
            SpaceError: A cell that is not of this space.
        """
        from optuna.trial import FixedTrial

        cell = self._legal(cell)
        last = len(cell.ops) - 1
        place = {**{v: v for v in range(last)}, last: self.vertices - 1}
        edges = {(place[a], place[b]) for a, b in cell.edges}
        answers: dict[str, Any] = {
            f"edge{a}-{b}": (a, b) in edges for b in range(self.vertices) for a in range(b)
        }
        answers |= {f"operator{v}": cell.ops[v] for v in range(1, last)}
        trial = FixedTrial(answers)
        self.cell(trial)
        return trial.params

    def architecture(self, cell: MatrixCell, as_written: bool = False) -> Architecture:
        """Build the architecture of a cell.

        Args:
            cell: Vertices that are on no path from input to output are left out.
            as_written: Keep the order of the vertices, on which depends which get one channel
                more; so parameters are as published. Otherwise isomorphic cells are one network.

        Raises:
            SpaceError: A cell that is not of this space.
        """
        cell = self._legal(cell)
        cell = cell if as_written else cell.canonical()
        channels, last = self.channels, "stem"
        nodes = [Node("stem", "conv", {"channels": channels, "kernel": 3}, (INPUT,))]
        for stack in range(1, self.stacks + 1):
            if stack > 1:
                halving = {"mode": "max", "kernel": 2, "stride": 2}
                nodes.append(Node(f"halve{stack - 1}", "pool", halving, (last,)))
                channels, last = 2 * channels, nodes[-1].name
            for number in range(1, self.cells + 1):
                nodes += _nodes(f"stack{stack}_cell{number}", cell, channels, last)
                last = nodes[-1].name
        return Architecture((*nodes, Node("classify", "classify", {}, (last,))))

    def _always(self) -> list[str]:
        """Kinds of blocks around the operators, as far as there is room for them in a cell."""
        between = ["add", "concat", "truncate"][: 3 if self.vertices > 3 else self.vertices - 2]
        return ["conv", *between, *(["pool"] if self.stacks > 1 else [])]

    def _sources(self, trial: BaseTrial, vertex: int, alive: set[int], spare: int) -> list[int]:
        """Ask which vertices a vertex reads from.

        Args:
            trial: Whom to ask.
            vertex: The vertex that reads.
            alive: Vertices that are read so far.
            spare: Edges left, beside one for each living vertex that has none yet.
        """
        read: list[int] = []
        for source in range(vertex - 1, 0, -1):
            cost = bool(read) + (source not in alive)
            if cost <= spare and ask_option(trial, f"edge{source}-{vertex}", (False, True)):
                read.append(source)
                spare -= cost
        if not read or (spare and ask_option(trial, f"edge0-{vertex}", (False, True))):
            read.append(0)
        return read

    def _legal(self, cell: MatrixCell) -> MatrixCell:
        """Return the cell without dead vertices, if it is of this space."""
        pruned = cell.pruned()
        if len(pruned.ops) > self.vertices or len(pruned.edges) > self.edges:
            raise SpaceError(
                f"expected a cell of at most {self.vertices} vertices and {self.edges} edges, "
                f"got {len(pruned.ops)} and {len(pruned.edges)}"
            )
        if not set(pruned.ops[1:-1]) <= set(self.operators):
            raise SpaceError(f"expected operators of {self.operators}, got {pruned.ops[1:-1]}")
        return pruned


def _widths(cell: MatrixCell, channels: int) -> list[int]:
    """Channels of each vertex, as published; what the output does not read is as wide as needed.

    Args:
        cell: Without dead vertices.
        channels: Channels of the output.
    """
    last = len(cell.ops) - 1
    read = [v for v in cell.sources(last) if v > 0]
    widths = [0] * last + [channels]
    for place, vertex in enumerate(read):
        widths[vertex] = channels // len(read) + (place < channels % len(read))
    for vertex in range(last - 1, 0, -1):
        if vertex not in read:
            widths[vertex] = max(widths[b] for a, b in cell.edges if a == vertex)
    return widths


def _nodes(name: str, cell: MatrixCell, channels: int, source: str) -> list[Node]:
    """Nodes of one cell that reads from `source`; the last is its output."""
    widths, last = _widths(cell, channels), len(cell.ops) - 1
    nodes: list[Node] = []
    for vertex in range(1, last + 1):
        new, arriving = _arriving(name, cell, vertex, widths, source)
        nodes += new
        inner = arriving[cell.matrix[0][vertex] :]
        if vertex == last and len(inner) > 1:
            nodes.append(Node(f"{name}_joined", "concat", {}, tuple(inner)))
            arriving[-len(inner) :] = [nodes[-1].name]
        if len(arriving) > 1:
            nodes.append(Node(f"{name}_sum{vertex}", "add", {}, tuple(arriving)))
            arriving = [nodes[-1].name]
        if vertex < last:
            kind, args = KINDS[cell.ops[vertex]]
            size = {} if kind == "pool" else {"channels": widths[vertex]}
            nodes.append(Node(f"{name}_vertex{vertex}", kind, {**size, **args}, tuple(arriving)))
    return nodes


def _arriving(
    name: str, cell: MatrixCell, vertex: int, widths: list[int], source: str
) -> tuple[list[Node], list[str]]:
    """New nodes on the edges to a vertex, and the names of all that it reads, the input first."""
    nodes: list[Node] = []
    names = []
    width = {"channels": widths[vertex]}
    for a in cell.sources(vertex):
        names.append(f"{name}_vertex{a}")
        edge = f"{name}_edge{a}_{vertex}"
        if a == 0:
            nodes.append(Node(edge, "conv", {**width, "kernel": 1}, (source,)))
        elif widths[a] > widths[vertex]:
            nodes.append(Node(edge, "truncate", width, (names[-1],)))
        else:
            continue
        names[-1] = edge
    return nodes, names
