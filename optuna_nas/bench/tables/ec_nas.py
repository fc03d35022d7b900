"""EC-NAS: a `.csv` or `.csv.gz` file, cells of up to 5 vertices and what their training took.

One line for each cell and rung. Only lines of space `5V9E` count, which holds all cells:

| column | what it is |
|---|---|
| `space`, `hash` | space and name of the cell |
| `adjacency`, `ops` | upper triangular matrix, and operator of each vertex (-1 input, -2 output) |
| `epochs`, `valid_acc` | rung, and validation accuracy there, 0 to 1; all of one training |
| `predict_time_s` | inference time; of each cell the median counts, as known before training |
| `energy_kwh` | what was used so far; what the epochs used counts, shown only by training |
| `params` | parameters |

Devices: `inference` (seconds) and `training-energy` (kWh of the epochs so far, in proportion for
all of them).

Source: Bakhtiarifard, Igel and Selvan 2024, arXiv:2210.06015.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from optuna_nas.architecture import INPUT, Node
from optuna_nas.bench.branches import Parameter, encoded
from optuna_nas.bench.tables.arrays import logarithm, place, whole
from optuna_nas.bench.tabular import Table
from optuna_nas.exceptions import DataError

__all__ = ["COLUMNS", "table"]

COLUMNS = (
    "space",
    "hash",
    "adjacency",
    "ops",
    "epochs",
    "valid_acc",
    "predict_time_s",
    "energy_kwh",
    "params",
)
DEVICES = np.array(["inference", "training-energy"])
SPACE = "5V9E"
MEASURED = ("epochs", "valid_acc", "predict_time_s", "energy_kwh", "params")


def table(path: Path, device: str) -> Table:
    """The table in a file.

    Raises:
        DataError: The file has no such form, or there is no such device.
    """
    at = place(device, DEVICES)
    cells, measured = _read(path)
    epochs, accuracy, seconds, energy, capacity = (measured[..., k] for k in range(len(MEASURED)))
    steps = epochs[0].astype(int).tolist()
    if steps[0] != 0 or len(steps) < 2 or (epochs != steps).any():
        raise DataError(f"expected equal epochs of each cell in {path}, 0 first, got {steps}")
    used = (energy[:, 1:] - energy[:, :1]) * (steps[-1] / np.array(steps[1:]))
    error = 100 - 100 * accuracy[:, 1:]
    return Table(
        parameters=_parameters(cells),
        steps=steps[1:],
        error=error,
        cost=(
            logarithm("predict_time_s", np.median(seconds, axis=1))
            if at == 0
            else logarithm("energy_kwh", used)
        ),
        spent=np.broadcast_to(np.array(steps[1:], dtype=float), error.shape),
        resumes=True,
        same=np.arange(len(cells)),
        capacity=capacity[:, 0],
        graph=lambda row: _graph(*cells[row]),
        cost_name=("latency", "energy")[at],
    )


Graph = tuple[np.ndarray, list[int]]
"""Adjacency, and operators."""


def _read(path: Path) -> tuple[list[Graph], np.ndarray]:
    """Cells, and what was measured of each at each rung (N, R, columns)."""
    lines: dict[str, list[dict[str, str]]] = {}
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", newline="") as file:
            reader = csv.DictReader(file)
            if missing := sorted(set(COLUMNS) - set(reader.fieldnames or ())):
                raise DataError(f"expected columns {list(COLUMNS)} in {path}, got no {missing}")
            for line in reader:
                if line["space"] == SPACE:
                    lines.setdefault(line["hash"], []).append(line)
        if not lines:
            raise DataError(f"expected lines of space {SPACE} in {path}, got none")
        cells = [_cell(rungs[0]) for rungs in lines.values()]
        measured = np.array(
            [
                sorted([float(line[name]) for name in MEASURED] for line in rungs)
                for rungs in lines.values()
            ]
        )
    except DataError:
        raise
    except (OSError, EOFError, zlib.error, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"expected a table of EC-NAS in {path}, got {error}") from error
    return cells, whole(f"the lines of {path}", measured)


def _cell(line: dict[str, str]) -> Graph:
    adjacency, ops = np.array(json.loads(line["adjacency"])), json.loads(line["ops"])
    if adjacency.shape != (len(ops), len(ops)) or np.tril(adjacency).any():
        raise ValueError(f"adjacency {adjacency.tolist()} of {len(ops)} vertices")
    return adjacency, ops


def _parameters(cells: Sequence[Graph]) -> list[Parameter]:
    """Number of vertices; then, of those that there are, operators and edges."""
    most = max(len(ops) for _, ops in cells)
    columns = {"vertices": np.array([len(ops) for _, ops in cells])}
    for k in range(1, most - 1):
        inner = [str(ops[k]) if k < len(ops) - 1 else "" for _, ops in cells]
        columns[f"operator{k}"] = np.array(inner)
    for b in range(1, most):
        for a in range(b):
            edges = [float(m[a, b]) if b < len(m) else np.nan for m, _ in cells]
            columns[f"edge{a}-{b}"] = np.array(edges)
    return [encoded(name, values) for name, values in columns.items()]


def _graph(adjacency: np.ndarray, ops: Sequence[int]) -> list[Node]:
    """The graph of a cell: a vertex adds up what arrives."""
    nodes: list[Node] = []
    names = {0: INPUT}
    for b in range(1, len(ops)):
        arriving = [names[a] for a in range(b) if adjacency[a, b] and a in names]
        if not arriving:
            continue
        if len(arriving) > 1:
            nodes.append(Node(f"sum{b}", "add", {}, tuple(arriving)))
            arriving = [f"sum{b}"]
        kind = "output" if b == len(ops) - 1 else f"operator{ops[b]}"
        nodes.append(Node(f"vertex{b}", kind, {}, tuple(arriving)))
        names[b] = f"vertex{b}"
    return nodes
