"""Trying again what a database refuses for a while: it restarts, is locked, its disk is full."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

__all__ = ["PATIENCE", "is_passing", "patiently"]

PATIENCE = 900.0
"""Seconds for which a database is tried again."""
LONGEST_WAIT = 10.0
"""Seconds between two tries, at most."""
PASSING = ("locked", "busy", "full", "disk i/o", "unable to open")
"""What SQLite says of errors that may pass."""

_logger = logging.getLogger(__name__)
T = TypeVar("T")


def patiently(work: Callable[[], T], patience: float = PATIENCE) -> T:
    """Do some work with a database, again and again while what goes wrong may pass.

    Args:
        work: May be done twice: a connection may break after the database has done its part.
        patience: Seconds after which an error is raised all the same.
    """
    started, tries = time.monotonic(), 0
    while True:
        try:
            result = work()
        except StorageInternalError as error:
            left = started + patience - time.monotonic()
            if left <= 0 or not is_passing(error):
                raise
            if not tries:
                _logger.warning(f"the storage fails: {_told(error)}; trying for {patience:.0f} s")
            wait = min(0.05 * 2.0 ** min(tries, 20), LONGEST_WAIT)
            tries += 1
            time.sleep(min(left, wait * random.uniform(0.5, 1.0)))
        else:
            if tries:
                _logger.warning(f"the storage answers after {time.monotonic() - started:.1f} s")
            return result


def is_passing(error: BaseException) -> bool:
    """Whether a storage may get over an error by itself, or by what its keeper does meanwhile."""
    cause = error.__cause__
    if not isinstance(cause, DBAPIError):
        return False
    if type(cause.orig).__module__.startswith("sqlite3"):
        return any(sign in str(cause.orig).lower() for sign in PASSING)
    return isinstance(cause, OperationalError | InterfaceError) or cause.connection_invalidated


def _told(error: BaseException) -> str:
    orig = getattr(error.__cause__, "orig", error)
    return str(orig).strip().splitlines()[0][:200] if str(orig).strip() else type(orig).__name__
