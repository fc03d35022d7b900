"""Any table: a `.npz` file of N networks, trained to R rungs, on D devices.

| array | what it is |
|---|---|
| `parameter.NAME` (N,) | a parameter of each network: numbers are ordered, text is not |
| `steps` (R,) | steps (epochs, checkpoints ...) at the rungs, rising; the last is the end |
| `error` (N, R) | what is to be small: the loss or error of each network at each rung |
| `cost` (N, D) | the other objective, positive, where it is known before training |
| `cost` (N, R, D) | the same where only training shows it, at each rung |
| `devices` (D,) | names of what the cost was measured on |
| `spent` (N, R) | steps that a network takes to each rung; by default `steps` |
| `resumes` () | true where the rungs are of one training; by default each is one of its own |
| `same` (N,) | first row of the same network; by default all are different |
| `capacity` (N,) | parameters of the network, which `cost-only` chooses by; may be left out |

A parameter is NaN, or an empty text, where a network has none of that name; the parameters before
it must tell that. From one rung of a training to the next, only the difference is paid for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from optuna_nas.bench.branches import Parameter, encoded
from optuna_nas.bench.tables.arrays import Arrays, logarithm, place, shaped, whole
from optuna_nas.bench.tabular import Table
from optuna_nas.exceptions import DataError

__all__ = ["NAMES", "table"]

NAMES = {"steps": "R", "error": "NR", "devices": "D"}
"""Arrays -> their dimensions."""
OPTIONAL = {"spent": "NR", "resumes": "", "same": "N", "capacity": "N"}
PREFIX = "parameter."


def table(arrays: Arrays, device: str, path: Path) -> Table:
    """The table in these arrays.

    Raises:
        DataError: They do not fit, or there is no such device.
    """
    parameters = {name: "N" for name in arrays if name.startswith(PREFIX)}
    costs = "NRD" if "cost" in arrays and arrays["cost"].ndim == 3 else "ND"
    optional = {name: letters for name, letters in OPTIONAL.items() if name in arrays}
    given = NAMES | {"cost": costs} | optional | (parameters or {f"{PREFIX}NAME": "N"})
    shaped(arrays, given, path)
    error = whole("error", arrays["error"])
    steps = whole("steps", arrays["steps"]).astype(int)
    spent = whole("spent", arrays.get("spent", np.broadcast_to(steps, error.shape)))
    _check_rising("steps", steps[None], 1)
    _check_rising("spent", spent, 0)
    capacity = arrays.get("capacity")
    return Table(
        parameters=_parameters(arrays, list(parameters)),
        steps=steps.tolist(),
        error=error,
        cost=logarithm("cost", arrays["cost"][..., place(device, arrays["devices"])]),
        spent=spent,
        resumes=bool(arrays.get("resumes", np.False_)),
        same=_same(arrays, len(error)),
        capacity=None if capacity is None else whole("capacity", capacity),
        cost_name="cost",
    )


def _check_rising(name: str, steps: np.ndarray, least: int) -> None:
    """Raise a DataError unless each row (N, R) begins above 0 and rises by at least so much."""
    if (steps[:, 0] <= 0).any() or (np.diff(steps, axis=1) < least).any():
        raise DataError(f"expected positive, rising numbers in {name}, got {steps[0].tolist()}")


def _parameters(arrays: Arrays, names: Sequence[str]) -> list[Parameter]:
    found = [encoded(name.removeprefix(PREFIX), arrays[name]) for name in names]
    before = np.zeros((len(arrays["error"]), 1), dtype=int)
    for parameter in found:
        _, groups = np.unique(before, axis=0, return_inverse=True)
        absent = parameter.codes < 0
        mixed = np.intersect1d(groups[absent], groups[~absent])
        if len(mixed):
            raise DataError(
                f"expected the parameters before {parameter.name!r} to tell whether a row has it, "
                f"got row {int(np.argmax(groups == mixed[0]))}, where they do not"
            )
        before = np.column_stack((before, parameter.codes))
    _, first, counts = np.unique(before, axis=0, return_index=True, return_counts=True)
    if (counts > 1).any():
        raise DataError(
            f"expected no two rows with equal parameters, got row {first[counts > 1].min()} twice"
        )
    return found


def _same(arrays: Arrays, rows: int) -> np.ndarray:
    same = whole("same", arrays.get("same", np.arange(rows))).astype(int)
    if (same < 0).any() or (same >= rows).any():
        raise DataError(f"expected in same the numbers of rows, 0 to {rows - 1}, got others")
    return same
