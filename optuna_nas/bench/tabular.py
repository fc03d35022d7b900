"""Spaces of which every network has been trained already, so that a search can be replayed.

A table is a `.npz` file with, for N cells of four nodes with an operator on each of E edges:

| array | what it is |
|---|---|
| `ops` (N, E) | operator of each edge, an index into `op_names` |
| `op_names`, `edges` (E, 2) | names of the operators; nodes that each edge leads from and to |
| `acc12_valid` (N,) | validation accuracy after a training of 12 epochs, in % |
| `acc200_valid_seeds` (N, S) | after 200 epochs, in %, NaN where a seed is missing |
| `latency_ms` (N, D), `devices` (D,) | latency of each cell on each device |
| `iso_rep` (N,) | the first cell of the same structure |
| `params_m` (N,) | parameters, in millions (may be left out) |

Source: NAS-Bench-201, Dong and Yang 2020, arXiv:2001.00326.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import optuna
from numpy.typing import NDArray

from optuna_nas.architecture import INPUT, Architecture, Node
from optuna_nas.exceptions import DataError
from optuna_nas.pareto import hypervolume

__all__ = ["FULL", "LOW", "Cell", "Table", "load"]

LOW, FULL = 12, 200
"""Epochs of the two trainings of every cell."""

SHAPES: Mapping[str, int] = {
    "ops": 2,
    "op_names": 1,
    "edges": 2,
    "acc12_valid": 1,
    "acc200_valid_seeds": 2,
    "latency_ms": 2,
    "devices": 1,
    "iso_rep": 1,
}
"""Arrays of a table -> their dimensions."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cell(Architecture):
    """A cell of a table.

    Args:
        row: Its place in the table.
    """

    row: int = -1


@dataclass(frozen=True, eq=False)
class Table:
    """A tabular benchmark on one device.

    Args:
        names: Names of the operators.
        edges: Nodes that each edge leads from and to (E, 2).
        ops: Operators of each cell (N, E).
        same: First cell of the same structure (N,).
        low: Error after the short training, in % (N,).
        full: Error after the long training, in %, mean over seeds (N,).
        cost: Logarithm of the latency in ms (N,).
        capacity: Parameters, in millions (N,), or None.
    """

    names: Sequence[str]
    edges: NDArray[np.int64]
    ops: NDArray[np.int64]
    same: NDArray[np.int64]
    low: Floats
    full: Floats
    cost: Floats
    capacity: Floats | None = None

    def space(self, trial: optuna.Trial) -> Cell:
        """Draw the operator of every edge."""
        drawn = tuple(
            self.names.index(trial.suggest_categorical(f"edge{a}-{b}", list(self.names)))
            for a, b in self.edges
        )
        return self._cells[drawn]

    @cached_property
    def _cells(self) -> _Cells:
        return _Cells(self)

    @cached_property
    def scaled(self) -> tuple[Floats, Floats]:
        """Error and cost, 0 to 1 over the cells below the 95th percentile of the error."""
        usual = self.full < np.percentile(self.full, 95)
        error, cost = ((v - v[usual].min()) / np.ptp(v[usual]) for v in (self.full, self.cost))
        return np.where(usual, error, 2.0), cost

    def fraction(self, rows: Sequence[int]) -> float:
        """Hypervolume of cells, in that of the true front."""
        return self._hypervolume(np.asarray(rows, dtype=int)) / self._whole

    @cached_property
    def _whole(self) -> float:
        return self._hypervolume(np.arange(len(self.full)))

    def _hypervolume(self, rows: NDArray[np.int64]) -> float:
        error, cost = self.scaled
        return hypervolume(np.stack((error[rows], cost[rows]), axis=1), (1.0, 1.0))


class _Cells(dict[tuple[int, ...], Cell]):
    """Cells by their operators, made when they are first asked for."""

    def __init__(self, table: Table) -> None:
        super().__init__()
        self._table = table
        self._rows = {tuple(ops): row for row, ops in enumerate(table.ops.tolist())}

    def __missing__(self, ops: tuple[int, ...]) -> Cell:
        names, edges = self._table.names, self._table.edges.tolist()
        self[ops] = _cell([names[op] for op in ops], edges, self._rows[ops])
        return self[ops]


def _cell(operators: Sequence[str], edges: Sequence[Sequence[int]], row: int) -> Cell:
    """The graph of a cell: edges that do nothing are left out, those that skip are wires."""
    nodes: list[Node] = []
    sources: dict[int, list[str]] = {0: [INPUT]}
    for target in sorted({b for _, b in edges}):
        arriving = []
        for operator, (a, b) in zip(operators, edges, strict=True):
            if b != target or operator == "none" or not (source := _joined(nodes, sources, a)):
                continue
            if operator != "skip_connect":
                nodes.append(Node(f"{a}-{b}", operator, {}, (source,)))
                source = nodes[-1].name
            arriving.append(source)
        sources[target] = arriving
    output = _joined(nodes, sources, max(b for _, b in edges))
    nodes.append(Node("output", "output" if output else "zero", {}, (output or INPUT,)))
    return Cell(tuple(nodes), row=row)


def _joined(nodes: list[Node], sources: dict[int, list[str]], node: int) -> str:
    """Name of what a node of the cell holds: the sum of what arrives; empty where nothing does."""
    arriving = sources.get(node, [])
    if len(arriving) > 1:
        name = f"sum{node}"
        nodes.append(Node(name, "add", {}, tuple(arriving)))
        sources[node] = arriving = [name]
    return arriving[0] if arriving else ""


def load(path: str | Path, device: str) -> Table:
    """Read a table.

    Args:
        path: A `.npz` file (see the top of this file).
        device: Whose latency.

    Raises:
        DataError: The file is no such table, or has no such device.
    """
    arrays = _arrays(Path(path))
    devices = [str(name) for name in arrays["devices"]]
    if device not in devices:
        raise DataError(f"expected a device of the table, {devices}, got {device!r}")
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a mean of nothing is NaN, which is refused below
        full = 100.0 - np.nanmean(arrays["acc200_valid_seeds"].astype(float), axis=1)
        cost = np.log(arrays["latency_ms"][:, devices.index(device)].astype(float))
    low = 100.0 - arrays["acc12_valid"].astype(float)
    read = {"acc200_valid_seeds": full, "acc12_valid": low, "latency_ms": cost}
    for name, values in read.items():
        if missing := np.flatnonzero(~np.isfinite(values)).tolist():
            raise DataError(
                f"expected a positive number for every cell in {name}, got none for "
                f"{len(missing)} cells, the first of them {missing[0]}"
            )
    return Table(
        names=[str(name) for name in arrays["op_names"]],
        edges=arrays["edges"].astype(int),
        ops=arrays["ops"].astype(int),
        same=arrays["iso_rep"].astype(int),
        low=low,
        full=full,
        cost=cost,
        capacity=arrays.get("params_m"),
    )


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in (*SHAPES, "params_m") if name in file}
    except (OSError, ValueError, BadZipFile) as error:
        raise DataError(f"expected a table in a .npz file, got {path}: {error}") from error
    wrong = [
        f"{name} {arrays[name].shape if name in arrays else '(missing)'}"
        for name, dimensions in SHAPES.items()
        if name not in arrays or arrays[name].ndim != dimensions
    ]
    if wrong:
        raise DataError(
            f"expected arrays of these dimensions in {path}: {SHAPES}; got {', '.join(wrong)}"
        )
    cells = {k: len(v) for k, v in arrays.items() if k not in ("op_names", "edges", "devices")}
    if len(set(cells.values())) > 1:
        raise DataError(f"expected as many cells in each array of {path}, got {cells}")
    return arrays
