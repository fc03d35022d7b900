"""Tables of trained networks: file -> `Table`, one schema a module.

`general.py` documents the format for tables of one's own; the others read what was published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from optuna_nas.bench.tables import ec_nas, general, nasbench201, translation
from optuna_nas.bench.tables.arrays import Arrays, read
from optuna_nas.bench.tabular import Table
from optuna_nas.exceptions import DataError

__all__ = ["load"]

Reader = Callable[[Arrays, str, Path], Table]
SCHEMAS: list[tuple[Mapping[str, str], Reader]] = [
    (general.NAMES, general.table),
    (nasbench201.NAMES, nasbench201.table),
    (nasbench201.CURVES, nasbench201.curves),
    (translation.NAMES, translation.table),
]
"""Arrays that a file of a schema has, and what reads it."""


def load(path: str | Path, device: str) -> Table:
    """Read a table.

    Args:
        path: A file of any schema in this folder.
        device: What the cost was measured on, as the table names it.

    Raises:
        DataError: The file is of no schema, a value is missing, or there is no such device.
    """
    path = Path(path)
    if {".csv", ".gz"} & set(path.suffixes):
        return ec_nas.table(path, device)
    arrays = read(path)
    shares = [len(names.keys() & arrays.keys()) / len(names) for names, _ in SCHEMAS]
    if max(shares) == 0:
        schemas = "; or ".join(", ".join(names) for names, _ in SCHEMAS)
        raise DataError(f"expected one of these sets of arrays in {path}: {schemas}; got none")
    return SCHEMAS[shares.index(max(shares))][1](arrays, device, path)
