"""The lock of a journal file, which does not outlive its holder.

Optuna's is a symbolic link that stays when its holder is killed, and which everybody then waits
30 s for. Here the link leads to a file whose name says who holds it, so that there is no moment in
which a lock is taken by nobody knows whom; who finds the link of a process of this host that has
died takes it away. Workers of plain Optuna may share the journal.
"""

from __future__ import annotations

import glob
import logging
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4
from zlib import crc32

from optuna.storages.journal import JournalFileSymlinkLock

from optuna_nas.locks import host_lock
from optuna_nas.study.lease import alive, identity

__all__ = ["MortalLock"]

LONGEST_WAIT = 0.1
"""Most seconds between two looks at a lock that another process holds."""
WARN_SECONDS = 10.0
NAMED = re.compile(r"\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-(?P<started>\d+)-\w+$")

_logger = logging.getLogger(__name__)


class MortalLock(JournalFileSymlinkLock):
    """Optuna's lock of a journal file, free again as soon as its holder has died.

    Args:
        path: The journal.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._own: Path | None = None
        self._clear_up()

    def acquire(self) -> bool:
        """Take the lock, away from a dead process if need be."""
        own = Path(f"{self._lock_file}.{_name()}")
        own.touch()
        try:
            self._take(own.name)
        except BaseException:
            own.unlink(missing_ok=True)
            raise
        self._own = own
        return True

    def release(self) -> None:
        """Give the lock back."""
        own, self._own = self._own, None
        super().release()
        if own is not None:
            own.unlink(missing_ok=True)

    def _take(self, name: str) -> None:
        wait, since, warned, seen = 0.001, time.monotonic(), time.monotonic(), ""
        while True:
            with suppress(FileExistsError):
                os.symlink(name, self._lock_file)
                return
            now, holder = time.monotonic(), self._holder()
            if holder != seen:
                since, seen = now, holder
            if _is_dead(holder):
                self._bury()
            elif self.grace_period is not None and now - since > self.grace_period:
                _logger.warning(f"nobody has released {self._lock_file} for {now - since:.0f} s")
                self._free()
                since = now
            elif now - warned > WARN_SECONDS:
                _logger.warning(f"waiting for another process that holds {self._lock_file}")
                warned = now
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _holder(self) -> str:
        """What tells a link from any other: ours have a name of their own, and Optuna's a time."""
        try:
            leads_to = os.readlink(self._lock_file)
            return leads_to if NAMED.search(leads_to) else str(os.lstat(self._lock_file).st_ctime)
        except OSError:
            return ""

    def _bury(self) -> None:
        """Take the lock from its holder, where that has died on this host.

        One process of the host at a time does so, and looks again: by then the link may be that
        of another one which lives.
        """
        with host_lock(f"bury-{crc32(os.path.abspath(self._lock_file).encode()):x}", timeout=60.0):
            if _is_dead(self._holder()):
                self._free()
            self._clear_up()

    def _clear_up(self) -> None:
        """Remove what killed processes of this host left, which waited or gave the lock back."""
        lock, holder = Path(self._lock_file), self._holder()
        for left in lock.parent.glob(f"{glob.escape(lock.name)}?*"):
            with suppress(OSError):
                name = os.readlink(left) if left.is_symlink() else left.name
                if left.name != holder and _is_dead(name):
                    left.unlink()

    def _free(self) -> None:
        with suppress(RuntimeError):  # another one was faster
            super().release()


def _name() -> str:
    """A name for one holding of a lock by this process."""
    own = identity()
    return f"{_crc(own['host'])}-{own['pid']}-{own['started']:.0f}-{uuid4().hex[:8]}"


def _is_dead(holder: str) -> bool:
    """Whether a name is that of a process of this host that has died."""
    named = NAMED.search(holder)
    if named is None or named["host"] != _crc(identity()["host"]):
        return False
    return not alive(int(named["pid"]), float(named["started"]))


def _crc(host: str) -> str:
    return f"{crc32(host.encode()):08x}"
