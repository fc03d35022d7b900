"""A network as a picture.

networkx, which comes with torch, holds the graph; `layout` places its nodes, and matplotlib draws
them.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx

from optuna_nas.architecture import INPUT, Architecture
from optuna_nas.backends.require import require
from optuna_nas.exceptions import DescriptionError
from optuna_nas.folding import Run, fold, label, users
from optuna_nas.reporting.layout import Layout, Point, layered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "diagram", "save_diagram", "svg"]

FORMATS = ("png", "svg")

# Inches.
_CHARACTER, _ROW, _GAP, _HALF, _MARGIN = 0.066, 0.46, 0.2, 0.13, 0.6

_PAPER, _INK, _ARROW = "#eef3fb", "#1b2433", "#8a94a6"
_PLAIN, _SHARED = "#3b6fb6", "#c2571a"


def diagram(architecture: Architecture) -> Figure:
    """Draw the living nodes of an architecture, from the input above to the output below.

    Parts that are repeated in a row, such as layers or equal cells, are drawn once, in a frame
    that says how often. Nodes that share their weights with others have another colour, and the
    name of the module that they share after `@`.

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

    graph, runs = _graph(architecture)
    widths = {name: len(text) * _CHARACTER + 0.2 for name, text in graph.nodes(data="label")}
    layout = layered(graph, widths, _GAP)
    rows = 1 + max(int(row) for _, row in layout.places.values())
    left, right = _sides(layout, widths, range(rows))
    size = (right - left + 2 * _MARGIN, (rows - 1) * _ROW + _MARGIN)
    figure = Figure(figsize=size)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    for run in (run for run in runs if run.times > 1):
        _frame(axes, run, layout, widths)
    for way in layout.ways.values():
        _connect(axes, [(column, -row * _ROW) for column, row in way])
    _write(axes, graph, layout)
    axes.set_xlim(left - _MARGIN, right + _MARGIN)
    axes.set_ylim(_MARGIN / 2 - size[1], _MARGIN / 2)
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


def svg(architecture: Architecture) -> str:
    """The picture of an architecture as an SVG document, small: its text is text, not outlines.

    Raises:
        DescriptionError: A module instead of a graph.
        MeasurementError: matplotlib is not installed.
    """
    figure, text = diagram(architecture), StringIO()
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "optuna_nas"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return text.getvalue()


def _graph(architecture: Architecture) -> tuple[nx.DiGraph[str], list[Run]]:
    """Nodes with their labels, the first of each repetition alone, and what is repeated."""
    if not isinstance(architecture, Architecture):
        raise DescriptionError(
            "expected an Architecture, whose graph can be drawn, "
            f"got {type(architecture).__name__}; let the space return an Architecture"
        )
    runs, shared = fold(architecture.alive), users(architecture.alive)
    shown = {run.last.name: run.part[-1][-1].name for run in runs}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_node(INPUT, label=INPUT, shared=False)
    for node in (node for run in runs for segment in run.part for node in segment):
        graph.add_node(node.name, label=label(node, shared), shared=shared[node.module] > 1)
        graph.add_edges_from((shown.get(s, s), node.name) for s in node.inputs)
    return graph, runs


def _sides(layout: Layout, widths: dict[str, float], rows: range) -> Point:
    """The leftmost and the rightmost of what is drawn in some rows."""
    spans = [(x, x) for way in layout.ways.values() for x, row in way if row in rows]
    spans += [
        (x - widths[name] / 2, x + widths[name] / 2)
        for name, (x, row) in layout.places.items()
        if row in rows
    ]
    return min(left for left, _ in spans), max(right for _, right in spans)


def _frame(axes: Axes, run: Run, layout: Layout, widths: dict[str, float]) -> None:
    """A rectangle around a part that is repeated, and how often it is."""
    from matplotlib.patches import FancyBboxPatch

    rows = [int(layout.places[node.name][1]) for segment in run.part for node in segment]
    left, right = _sides(layout, widths, range(min(rows), max(rows) + 1))
    low, high = -max(rows) * _ROW - _HALF, -min(rows) * _ROW + _HALF
    style: dict[str, Any] = {
        "boxstyle": "round,pad=0.05",
        "facecolor": "none",
        "edgecolor": _ARROW,
        "ls": "--",
    }
    axes.add_patch(FancyBboxPatch((left, low), right - left, high - low, **style))
    middle, text = (low + high) / 2, f"{run.times} x"
    axes.text(right + 0.12, middle, text, va="center", fontsize=9, color=_INK)


def _connect(axes: Axes, way: list[Point]) -> None:
    """An arrow from below a node to above another, straight past the nodes of rows between."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Curve

    (x, y), *ends = [(x, y + side * _HALF) for x, y in way for side in (1, -1)][1:-1]
    points, codes = [(x, y)], [Curve.MOVETO]
    for number, (to_x, to_y) in enumerate(ends):
        middle = (y + to_y) / 2
        bent = number % 2 == 0
        points += [(x, middle), (to_x, middle), (to_x, to_y)] if bent else [(to_x, to_y)]
        codes += [Curve.CURVE4] * 3 if bent else [Curve.LINETO]
        x, y = to_x, to_y
    axes.add_patch(PathPatch(Curve(points, codes), edgecolor=_ARROW, fill=False))
    axes.plot(x, y + 0.02, marker="v", markersize=5, color=_ARROW)


def _write(axes: Axes, graph: nx.DiGraph[str], layout: Layout) -> None:
    last = next(reversed(list(graph.nodes)))
    for name, node in graph.nodes(data=True):
        column, row = layout.places[name]
        end, colour = name in (INPUT, last), _SHARED if node["shared"] else _PLAIN
        box: dict[str, Any] = {"boxstyle": "round,pad=0.35", "edgecolor": colour}
        axes.text(
            column,
            -row * _ROW,
            node["label"],
            ha="center",
            va="center",
            fontsize=8,
            color="white" if end else _INK,
            bbox={**box, "facecolor": colour if end else _PAPER},
            parse_math=False,
        )
