"""Trying again what a storage refuses for a while: it restarts, is locked, its disk is full."""

from __future__ import annotations

import errno
import inspect
import logging
import math
import random
import time
from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError

__all__ = ["PATIENCE", "Passing", "Patience", "answered", "is_passing", "try_again"]

PATIENCE = 900.0
"""Seconds for which a database is tried again."""
LONGEST_WAIT = 10.0
"""Seconds between two tries, at most."""
PARTING = 1.0
"""Seconds for which it is tried again once the process was asked to end."""
OUTAGE = 60.0
"""Seconds after which a database was away, for others too, and not merely busy."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""Errors of writing a file that may pass."""
PASSING = ("locked", "busy", "full", "disk i/o", "unable to open")
"""What SQLite says of errors that may pass."""

interrupted = False
"""Whether the process was asked to end, as by Ctrl-C. A plain flag: a signal's handler sets it."""

_logger = logging.getLogger(__name__)
T = TypeVar("T")


class Passing(StorageInternalError):
    """What a storage cannot do now, and may do soon: raised from what its driver says."""


class Patience:
    """Does the work with one storage again and again while what goes wrong may pass.

    Args:
        seconds: How long the storage may be away until an error is raised. Once that has run
            out, work is tried once, until the storage answers again.

    Attributes:
        answered: When (monotonic) the storage last answered again after an outage.
    """

    def __init__(self, seconds: float = PATIENCE) -> None:
        self.seconds = seconds
        self.answered = -math.inf
        self._away: float | None = None  # since when it has not answered

    def __reduce__(self) -> tuple[type[Patience], tuple[float]]:
        return Patience, (self.seconds,)  # clocks are those of this process

    def __call__(self, work: Callable[[], T]) -> T:
        """Do some work.

        Args:
            work: May be done twice: a connection may break after the database has done its part.
        """
        started, tries = time.monotonic(), 0
        while True:
            try:
                result = work()
            except StorageInternalError as error:
                if not is_passing(error):
                    raise
                away = self._away or time.monotonic()
                self._away = away
                left = min(started, away) + self.seconds - time.monotonic()
                if left <= 0 or _is_parting(away):
                    raise
                if not tries:
                    _logger.warning(f"the storage fails: {_told(error)}; trying for {left:.0f} s")
                wait = min(0.05 * 2.0 ** min(tries, 20), LONGEST_WAIT) * random.uniform(0.5, 1.0)
                tries += 1
                _sleep(min(left, wait), away)
            else:
                now, since, self._away = time.monotonic(), self._away, None
                if tries:
                    _logger.warning(f"the storage answers after {now - started:.1f} s")
                if since is not None and now - since > OUTAGE:
                    self.answered = now
                return result


def try_again(storage: type[BaseStorage], names: Iterable[str]) -> None:
    """Have inherited methods of a class of storages, whose instances have a `patience`, use it."""
    for name in names:
        setattr(storage, name, _patient(getattr(storage, name)))


def answered(storage: BaseStorage) -> float:
    """When (monotonic) a storage last answered again after an outage seen by this process."""
    places = storage, getattr(storage, "_backend", None)
    found = [getattr(place, "patience", None) for place in places]
    return max((p.answered for p in found if isinstance(p, Patience)), default=-math.inf)


def is_passing(error: BaseException) -> bool:
    """Whether a storage may get over an error by itself, or by what its keeper does meanwhile."""
    cause = error.__cause__
    if isinstance(cause, PendingRollbackError):  # Optuna asked once more over a broken connection
        cause = cause.__context__
    if isinstance(error, Passing):
        return True
    if isinstance(cause, OSError):
        return cause.errno in FULL
    if not isinstance(cause, DBAPIError):
        return False
    if type(cause.orig).__module__.startswith("sqlite3"):
        return any(sign in str(cause.orig).lower() for sign in PASSING)
    return isinstance(cause, OperationalError | InterfaceError) or cause.connection_invalidated


def _patient(method: Callable[..., T]) -> Callable[..., T]:
    @wraps(method)
    def tried(self: Any, *args: Any, **named: Any) -> T:
        done: T = self.patience(partial(method, self, *args, **named))
        return done

    tried.__doc__ = inspect.getdoc(method)  # that of the storage that it overrides
    return tried


def _told(error: BaseException) -> str:
    orig = getattr(error.__cause__, "orig", error)
    return str(orig).strip().splitlines()[0][:200] if str(orig).strip() else type(orig).__name__


def _is_parting(away: float) -> bool:
    """Whether the process was asked to end, and a storage is away for too long to wait for it."""
    return interrupted and time.monotonic() - away >= PARTING


def _sleep(seconds: float, away: float) -> None:
    """Sleep in short pieces: a signal does not end `time.sleep`."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not _is_parting(away):
        time.sleep(min(left, 0.1))
