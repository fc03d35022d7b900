"""A network as a picture.

networkx, which comes with torch, places the nodes in layers; matplotlib draws them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import networkx as nx

from optuna_nas.architecture import INPUT, Architecture
from optuna_nas.backends.require import require
from optuna_nas.exceptions import DescriptionError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "diagram", "save_diagram"]

FORMATS = ("png", "svg")

_CHARACTER, _ROW = 0.085, 0.42  # inches
_NODE = {"boxstyle": "round,pad=0.35", "facecolor": "#eef3fb", "edgecolor": "#3b6fb6"}
_END = {"boxstyle": "round,pad=0.35", "facecolor": "#3b6fb6", "edgecolor": "#3b6fb6"}


def diagram(architecture: Architecture) -> Figure:
    """Draw the living nodes of an architecture, from the input above to the output below.

    Every node stands one row below the last of those that it reads from. A connection that skips
    rows is bent, so that it does not run through the nodes in between.

    Args:
        architecture: The graph.

    Returns:
        A matplotlib figure, as large as the network is deep and wide.

    Raises:
        DescriptionError: A module instead of a graph.
        MeasurementError: matplotlib is not installed.
    """
    require("diagram", "matplotlib")
    from matplotlib.figure import Figure

    graph = _graph(architecture)
    rows = [list(row) for row in nx.topological_generations(graph)]
    columns = max(map(len, rows))
    longest = max(len(label) for _, label in graph.nodes(data="label"))
    width = columns * (longest * _CHARACTER + 0.4) + 1.2
    figure = Figure(figsize=(max(width, 3.0), len(rows) * _ROW + 0.4))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    _draw(axes, graph, _placed(rows, columns))
    axes.set_xlim(-0.5 - 0.6 / columns, columns - 0.5 + 0.6 / columns)
    axes.set_ylim(-len(rows) + 0.4, 0.6)
    return figure


def save_diagram(architecture: Architecture, path: str | Path) -> None:
    """Write the picture of an architecture to a file.

    Args:
        architecture: The graph.
        path: Ends in .svg or .png.

    Raises:
        DescriptionError: Another kind of file, or a module instead of a graph.
        MeasurementError: matplotlib is not installed.
    """
    file = Path(path)
    if file.suffix.lower().lstrip(".") not in FORMATS:
        raise DescriptionError(f"expected a file that ends in .svg or .png, got {file.name!r}")
    figure = diagram(architecture)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150)


def _graph(architecture: Architecture) -> nx.DiGraph[str]:
    """The living nodes with their labels."""
    if not isinstance(architecture, Architecture):
        raise DescriptionError(
            "expected an Architecture, whose graph can be drawn, "
            f"got {type(architecture).__name__}; let the space return an Architecture"
        )
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_node(INPUT, label=INPUT)
    for node in architecture.alive:
        graph.add_node(node.name, label=str(node))
        graph.add_edges_from((source, node.name) for source in node.inputs)
    return graph


def _placed(rows: list[list[str]], columns: int) -> dict[str, tuple[float, float]]:
    """Name -> (column, minus row), with every row centred."""
    return {
        name: ((columns - len(members)) / 2 + position, -float(row))
        for row, members in enumerate(rows)
        for position, name in enumerate(members)
    }


def _draw(axes: Axes, graph: nx.DiGraph[str], places: dict[str, tuple[float, float]]) -> None:
    for source, target in graph.edges:
        skips = places[source][1] - places[target][1] > 1
        straight = places[source][0] == places[target][0]
        bend = f"arc3,rad={-0.5 if straight else 0.15}" if skips else "arc3"
        axes.annotate(
            "",
            xy=places[target],
            xytext=places[source],
            arrowprops={
                "arrowstyle": "-|>",
                "connectionstyle": bend,
                "color": "#8a94a6",
                "shrinkA": 9,
                "shrinkB": 9,
            },
        )
    last = next(reversed(list(graph.nodes)))
    for name, label in graph.nodes(data="label"):
        end = name in (INPUT, last)
        axes.text(
            *places[name],
            label,
            ha="center",
            va="center",
            fontsize=8,
            color="white" if end else "#1b2433",
            bbox=_END if end else _NODE,
            parse_math=False,
        )
