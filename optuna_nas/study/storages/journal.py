"""Optuna's journals, in a file and in Redis, that neither a crash nor a stranger spoils."""

from __future__ import annotations

import os
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalRedisBackend
from optuna.storages.journal._file import get_lock_file

from optuna_nas.study.storages.journal_lock import MortalLock

__all__ = ["FileJournal", "RedisJournal"]

BLOCK = 1 << 20


class FileJournal(JournalFileBackend):
    """A journal file in which the last line may have been cut by a crash.

    Optuna would write behind the half line, and nobody could read the file again. What was cut
    had not been stored for anyone: it goes before the next line is written.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, MortalLock(path))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with get_lock_file(self._lock), open(self._file_path, "rb+") as file:
            _cut(file)
        super().append_logs(logs)


class RedisJournal(JournalRedisBackend):
    """A journal in Redis, read line by line.

    Optuna keeps snapshots there as pickles, and unpickling what others may have written runs
    their code; so there are none.
    """

    def save_snapshot(self, snapshot: bytes) -> None:
        """Keep nothing."""

    def load_snapshot(self) -> bytes | None:
        """None: the journal is read from its start."""
        return None


def _cut(file: Any) -> None:
    """Cut a file behind its last newline."""
    end = file.seek(0, os.SEEK_END)
    start = end
    while start:
        start = max(0, end - BLOCK)
        file.seek(start)
        block = file.read(end - start)
        if (newline := block.rfind(b"\n")) >= 0:
            start += newline + 1
            break
        end = start
    if start != file.seek(0, os.SEEK_END):
        file.truncate(start)
