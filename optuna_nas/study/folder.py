"""A place for checkpoints and weights: a local folder, which a bucket elsewhere can stand for."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

from optuna.storages import BaseStorage, RDBStorage

from optuna_nas.study.storages.opening import in_memory

__all__ = ["CHECKPOINT", "Folder", "Stored", "folder_name", "folder_of"]

CHECKPOINT = ".ckpt"
"""Ending of checkpoints: of these alone a quota is the bound."""

_logger = logging.getLogger(__name__)
_TEMPORARY: WeakKeyDictionary[BaseStorage, Path] = WeakKeyDictionary()


def folder_of(
    wanted: str | os.PathLike[str] | bool | None, name: str, storage: BaseStorage
) -> Path | None:
    """The local folder for the checkpoints of a study.

    Args:
        wanted: A folder; True for `<name>.checkpoints` beside the study's SQLite file, or in the
            working directory where there is none; False or None for no checkpoints. A study in
            memory has a temporary folder, which goes when the study does.
        name: Name of the study.
        storage: Where the study is.
    """
    if wanted is None or wanted is False:
        return None
    if wanted is not True:
        return Path(wanted)
    if in_memory(storage):
        return _temporary(storage)
    backend = getattr(storage, "_backend", storage)
    beside = Path()
    if isinstance(backend, RDBStorage) and backend.engine.dialect.name == "sqlite":
        beside = Path(backend.engine.url.database or "").parent
    return beside.absolute() / folder_name(name)


def folder_name(study: str) -> str:
    """Name of the folder for the checkpoints of a study, which leads out of none.

    Args:
        study: Name of the study.
    """
    return re.sub(r"[^\w.-]", "_", study) + ".checkpoints"


class Stored(NamedTuple):
    """A checkpoint in a place.

    Args:
        written: When, in seconds.
        size: Bytes.
        name: Its name.
    """

    written: float
    size: int
    name: str


@dataclass(frozen=True)
class Folder:
    """A local folder of files, each of which is there as a whole or not at all.

    Args:
        path: The folder; it is made once there is a file.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def check(self) -> None:
        """See whether files can be kept there, before a search begins."""

    def fetch(self, name: str) -> Path | None:
        """A file, on this machine; None where there is none of that name.

        Args:
            name: Its name.

        Raises:
            StorageInternalError: It cannot be read now.
        """
        path = self.path / name
        return path if path.exists() else None

    def forget(self, name: str) -> None:
        """Drop what only `fetch` has left on this machine."""

    def part(self, name: str) -> Path:
        """Where this process writes a file until it is whole."""
        return (self.path / name).with_suffix(f".{os.getpid()}.part")

    def put(self, name: str) -> None:
        """Keep what was written to `part` under its name, in place of what was there.

        Raises:
            StorageInternalError: It cannot be kept; what was there before still is.
        """
        os.replace(self.part(name), self.path / name)

    def remove(self, name: str) -> None:
        """Remove a file, there or not, and the folder if it was the last one."""
        path = self.path / name
        for found in (path, *self.path.glob(f"{path.stem}.*.part")):
            found.unlink(missing_ok=True)
        with suppress(OSError):  # not empty, or not there
            self.path.rmdir()

    def evict(self, latest: str, quota: int) -> None:
        """Remove the oldest checkpoints until the rest, and the latest, keep a quota.

        Args:
            latest: Name of the latest, which goes last.
            quota: Bytes that all of them may take.
        """
        found = sorted(self._stored(), key=lambda one: (one.name == latest, *one))
        total = sum(one.size for one in found)
        for one in found:
            if total <= quota:
                return
            if one.name == latest:
                _logger.warning(
                    f"{self}/{latest} alone takes {one.size} bytes, more than the quota of {quota}"
                )
            self._drop(one.name)
            total -= one.size

    def _stored(self) -> Iterator[Stored]:
        for path in self.path.glob(f"*{CHECKPOINT}"):
            with suppress(FileNotFoundError):  # another worker was done with it
                stat = path.stat()
                yield Stored(stat.st_mtime, stat.st_size, path.name)

    def _drop(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)


def _temporary(storage: BaseStorage) -> Path:
    if storage not in _TEMPORARY:
        _TEMPORARY[storage] = Path(tempfile.mkdtemp(prefix="optuna-nas-"))
        weakref.finalize(storage, shutil.rmtree, _TEMPORARY[storage], ignore_errors=True)
    return _TEMPORARY[storage]
