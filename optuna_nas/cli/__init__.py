"""The command line: parse, call the library, print.

Exit codes: 0 done, 1 the search failed, 2 wrong use, 130 interrupted.
"""

from optuna_nas.cli import bench, finalists, look, measure, parts, reference, run, table, worker
from optuna_nas.cli.group import main

__all__ = [
    "bench",
    "finalists",
    "look",
    "main",
    "measure",
    "parts",
    "reference",
    "run",
    "table",
    "worker",
]
