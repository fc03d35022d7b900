"""NAS-Bench-201: `.npz` files of N cells with an operator on each of E edges.

| array | what it is |
|---|---|
| `ops` (N, E) | operator of each edge, an index into `op_names` |
| `op_names`, `edges` (E, 2) | names of the operators; nodes that each edge leads from and to |
| `acc12_valid` (N,) | validation accuracy after a training of 12 epochs, in % |
| `acc200_valid_seeds` (N, S) | after 200 epochs, in %, NaN where a seed is missing |
| `latency_ms` (N, D), `devices` (D,) | latency of each cell on each device |
| `iso_rep` (N,) | the first cell of the same structure |
| `params_m` (N,) | parameters, in millions (may be left out) |

Whole curves of some of the cells are a file of their own, beside which the file above must lie:
`valid_acc` (K, T), accuracy after each epoch in %, and `arch_index` (K,), their rows above.

Source: NAS-Bench-201, Dong and Yang 2020, arXiv:2001.00326.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from optuna_nas.architecture import INPUT, Node
from optuna_nas.bench.branches import Parameter
from optuna_nas.bench.tables.arrays import Arrays, logarithm, place, read, shaped, whole
from optuna_nas.bench.tabular import Floats, Table
from optuna_nas.exceptions import DataError

__all__ = ["CURVES", "NAMES", "curves", "ladder", "table"]

NAMES = {
    "ops": "NE",
    "op_names": "O",
    "edges": "E2",
    "acc12_valid": "N",
    "acc200_valid_seeds": "NS",
    "latency_ms": "ND",
    "devices": "D",
    "iso_rep": "N",
}
CURVES = {"arch_index": "K", "valid_acc": "KT"}
EPOCHS = (12, 200)
"""Of the two trainings of every cell."""


def table(arrays: Arrays, device: str, path: Path) -> Table:
    """The table of all cells, trained for 12 and for 200 epochs.

    Raises:
        DataError: The arrays do not fit, or there is no such device.
    """
    capacity = {"params_m": "N"} if "params_m" in arrays else {}
    shaped(arrays, NAMES | capacity, path)
    at = place(device, arrays["devices"])
    names, edges = [str(name) for name in arrays["op_names"]], arrays["edges"].tolist()
    ops = arrays["ops"].astype(int)
    if (ops < 0).any() or (ops >= len(names)).any():
        raise DataError(f"expected in ops places of op_names, 0 to {len(names) - 1}, got others")
    low = 100.0 - whole("acc12_valid", arrays["acc12_valid"])
    error = np.stack((low, _full(arrays["acc200_valid_seeds"])), axis=1)
    return Table(
        parameters=[
            Parameter(f"edge{a}-{b}", names, codes)
            for (a, b), codes in zip(edges, ops.T, strict=True)
        ],
        steps=EPOCHS,
        error=error,
        cost=logarithm("latency_ms", arrays["latency_ms"][:, at]),
        spent=np.broadcast_to(np.array(EPOCHS, dtype=float), error.shape),
        resumes=False,
        same=arrays["iso_rep"].astype(int),
        capacity=whole("params_m", arrays["params_m"]) if capacity else None,
        graph=lambda row: _graph([names[op] for op in ops[row]], edges),
    )


def curves(arrays: Arrays, device: str, path: Path) -> Table:
    """The table of the cells with whole curves: rungs of one training, thrice as long each.

    Raises:
        DataError: The arrays do not fit, or the file of all cells is not beside theirs.
    """
    shaped(arrays, CURVES, path)
    every = _beside(path, device)
    rows = arrays["arch_index"].astype(int)
    if (rows < 0).any() or (rows >= len(every.error)).any() or len(set(rows)) < len(rows):
        raise DataError(f"expected in arch_index of {path} different rows of the file beside it")
    accuracy = whole("valid_acc", arrays["valid_acc"])
    steps = ladder(accuracy.shape[1])
    error = 100.0 - accuracy[:, [step - 1 for step in steps]]
    _, first, group = np.unique(every.same[rows], return_index=True, return_inverse=True)
    return replace(
        every,
        parameters=[replace(p, codes=p.codes[rows]) for p in every.parameters],
        steps=steps,
        error=error,
        cost=every.cost[rows],
        spent=np.broadcast_to(np.array(steps, dtype=float), error.shape),
        resumes=True,
        same=first[group],
        capacity=None if every.capacity is None else every.capacity[rows],
        graph=lambda row: every.cell(int(rows[row])).nodes,
    )


def ladder(end: int) -> list[int]:
    """Rungs up to an end, each about three times the one before, the first about an 81st."""
    return sorted({max(1, round(end / 3**k)) for k in range(5)})


def _beside(path: Path, device: str) -> Table:
    for other in sorted(path.parent.glob("*.npz")):
        arrays = read(other)
        if other != path and set(NAMES) <= set(arrays):
            return table(arrays, device, other)
    raise DataError(
        f"expected the NAS-Bench-201 file with latencies beside {path}, got none that has "
        f"the arrays {list(NAMES)}"
    )


def _full(accuracy: np.ndarray) -> Floats:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a mean of nothing is NaN, which is refused
        mean = np.nanmean(accuracy.astype(float), axis=1)
    return 100.0 - whole("acc200_valid_seeds", mean)


def _graph(operators: Sequence[str], edges: Sequence[Sequence[int]]) -> list[Node]:
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
    return nodes


def _joined(nodes: list[Node], sources: dict[int, list[str]], node: int) -> str:
    """Name of what a node of the cell holds: the sum of what arrives; empty where nothing does."""
    arriving = sources.get(node, [])
    if len(arriving) > 1:
        name = f"sum{node}"
        nodes.append(Node(name, "add", {}, tuple(arriving)))
        sources[node] = arriving = [name]
    return arriving[0] if arriving else ""
