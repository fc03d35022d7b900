"""Locks that hold between the processes of one host."""

from __future__ import annotations

import tempfile
from pathlib import Path

from filelock import BaseFileLock, FileLock

__all__ = ["host_lock"]


def host_lock(name: str) -> BaseFileLock:
    """A lock that one process on this host can hold at a time; released when its holder dies."""
    return FileLock(Path(tempfile.gettempdir()) / f"optuna-nas-{name}.lock", mode=0o666)
