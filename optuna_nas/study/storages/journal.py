"""Optuna's journal in a file, which no crash spoils."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from io import RawIOBase
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import get_lock_file

from optuna_nas.study.storages.journal_lock import MortalLock
from optuna_nas.study.storages.patience import Patience

__all__ = ["FileJournal"]

BLOCK = 1 << 20


class FileJournal(JournalFileBackend):
    """A journal file in which the last line may have been cut by a crash.

    Optuna would write behind the half line, and nobody could read the file again. What was cut
    had not been stored for anyone: it goes before the next line is written.

    Args:
        path: The file.

    Attributes:
        patience: Tries again while the disk is full.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, MortalLock(path))
        self.patience = Patience()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        self.patience(partial(self._append, lines.encode()))

    def _append(self, lines: bytes) -> None:
        with (
            _as_a_storage_error(OSError),
            get_lock_file(self._lock),
            open(self._file_path, "rb+", buffering=0, opener=_appending) as file,
        ):
            end = _cut(file)
            try:
                while lines:
                    lines = lines[file.write(lines) or 0 :]
                os.fsync(file.fileno())
            except OSError:  # all of it or nothing: it is tried again
                file.truncate(end)
                raise

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        with _as_a_storage_error(OSError):
            yield from super().read_logs(log_number_from)


@contextmanager
def _as_a_storage_error(kind: type[Exception]) -> Iterator[None]:
    """Raise what a journal cannot help as Optuna's databases do: no trial is to blame for it."""
    try:
        yield
    except kind as error:
        raise StorageInternalError(f"cannot use the journal: {error}") from error


def _appending(path: str, flags: int) -> int:
    """Open a file that is there, so that each write goes to its end, wherever that is by then."""
    return os.open(path, flags | os.O_APPEND)


def _cut(file: RawIOBase) -> int:
    """Cut a file behind its last newline, and say where that is."""
    size = start = end = file.seek(0, os.SEEK_END)
    if size:
        file.seek(size - 1)
        if file.read(1) == b"\n":
            return size
    while start:
        start = max(0, end - BLOCK)
        file.seek(start)
        block = file.read(end - start)
        if (newline := block.rfind(b"\n")) >= 0:
            start += newline + 1
            break
        end = start
    if start != size:
        file.truncate(start)
    return start
