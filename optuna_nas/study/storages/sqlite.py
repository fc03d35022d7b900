"""SQLite set up for a study: readers do not wait for writers, nor a transaction for the disk."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import psutil
from optuna.storages import RDBStorage
from sqlalchemy import event

__all__ = ["write_ahead"]

NETWORK = ("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "fuse", "9p", "afs", "ceph")
"""File systems whose hosts cannot share the memory that write-ahead logging needs."""

_logger = logging.getLogger(__name__)


def write_ahead(storage: RDBStorage) -> None:
    """Turn on write-ahead logging where a storage is an SQLite file on a local disk.

    A crash of the machine, not of the process, may lose the last transactions, never the file.

    Source: https://www.sqlite.org/wal.html.
    """
    if storage.engine.dialect.name != "sqlite":
        return
    path = storage.engine.url.database
    if not path or path == ":memory:":
        return
    if (kind := _file_system(Path(path))).startswith(NETWORK):
        _logger.warning(
            f"{path} is on a network file system ({kind}), where SQLite is slow and several hosts "
            "may damage it; use a database server for more than one host"
        )
        return
    event.listen(storage.engine, "connect", _set_up)
    storage.engine.dispose()  # connections made before


def _set_up(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _file_system(path: Path) -> str:
    """Type of the file system that a path is on, such as `ext4`; empty where it is not known."""
    folders = [str(folder) for folder in path.resolve().parents]
    kinds = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    return next((kinds[folder] for folder in folders if folder in kinds), "")
