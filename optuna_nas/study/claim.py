"""Being the only one, of the workers of all hosts, that begins a study.

No storage compares and sets, but in every one a study of some name is created once. So who begins
a study `name` first creates another, `name@beginning`, and deletes it when all is written. Where
its process has died meanwhile, the next one is `name@beginning1`: one that was left is deleted by
who has begun, and by nobody before, or two could each hold one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection

from optuna_nas.locks import PATIENCE
from optuna_nas.study.lease import BEGIN_SECONDS, LEASE, expired, lease_for

__all__ = ["beginning"]

SECONDS = 1800.0
"""How long a process of another host may take to begin: it calibrates, and looks at samples."""
EVERY = 0.2
"""Seconds between two looks at who begins."""

_logger = logging.getLogger(__name__)


@contextmanager
def beginning(study: optuna.Study, begun: Callable[[], bool]) -> Iterator[bool]:
    """Wait until a study has begun, or until this process alone is to begin it.

    Args:
        study: The study.
        begun: Whether it has, by what is in storage.

    Yields:
        Whether this process is to; it has when the block ends, unless by an error.
    """
    storage, number = study._storage, 0
    while not begun():
        try:
            own = storage.create_new_study([StudyDirection.MINIMIZE], _name(study, number))
        except DuplicatedStudyError:
            number = number + 1 if _has_died(study, number, begun) else 0
            continue
        try:
            storage.set_study_system_attr(own, LEASE, lease_for(SECONDS))
            yield not begun()  # others may have, since it was asked
        finally:
            for earlier in range(number if begun() else 0):
                with suppress(KeyError):
                    storage.delete_study(storage.get_study_id_from_name(_name(study, earlier)))
            storage.delete_study(own)
        return
    yield False


def _has_died(study: optuna.Study, number: int, begun: Callable[[], bool]) -> bool:
    """Wait while somebody begins a study; whether their process died over that."""
    storage, since, told = study._storage, time.monotonic(), False
    while not begun():
        try:
            claim = storage.get_study_id_from_name(_name(study, number))
            held = storage.get_study_system_attrs(claim).get(LEASE)
        except KeyError:
            return False  # it was given back
        waited = time.monotonic() - since
        if waited > BEGIN_SECONDS if held is None else expired(held, time.time()):
            return True
        if waited > PATIENCE and held and not told:
            where = f"process {held['pid']} on {held['host'].split()[0]}"
            _logger.warning(f"waiting for {where}, which begins study {study.study_name!r}")
            told = True
        time.sleep(EVERY)
    return False


def _name(study: optuna.Study, number: int) -> str:
    return f"{study.study_name}@beginning{number or ''}"
