"""The lock of a journal file, which does not outlive its holder.

Optuna's is a symbolic link that stays when its holder is killed, and which everybody then waits
30 s for. Here the holder leaves its name beside the link, and who finds the link of a process of
this host that has died takes it away. Workers of plain Optuna may share the journal.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileSymlinkLock

from optuna_nas.study.lease import alive, identity

__all__ = ["MortalLock"]


class MortalLock(JournalFileSymlinkLock):
    """Optuna's lock of a journal file, free again as soon as its holder has died.

    Args:
        path: The journal.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._owner = Path(f"{self._lock_file}.owner")

    def acquire(self) -> bool:
        """Take the lock, away from a dead process if need be."""
        self._bury()
        named = self._owner.with_suffix(f".{os.getpid()}")
        taken = super().acquire()
        try:
            named.write_text(json.dumps({**identity(), "link": self._link()}))
            named.replace(self._owner)
        except BaseException:  # such as a full disk: others need not wait for it
            super().release()
            named.unlink(missing_ok=True)
            raise
        return taken

    def release(self) -> None:
        """Give the lock back."""
        self._owner.unlink(missing_ok=True)
        super().release()

    def _bury(self) -> None:
        """Take the lock from its holder, where that has died on this host."""
        with suppress(OSError, ValueError, KeyError, RuntimeError):
            owner = json.loads(self._owner.read_text())
            same = owner["link"] == self._link() and owner["host"] == identity()["host"]
            if same and not alive(owner["pid"], owner["started"]):
                super().release()

    def _link(self) -> Any:
        """What tells this link from one made later."""
        found = os.lstat(self._lock_file)
        return [found.st_ino, found.st_mtime_ns]
