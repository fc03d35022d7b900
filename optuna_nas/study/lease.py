"""Leases of running trials, so that a trial whose process died is found and taken up again.

Optuna's heartbeat exists for relational storages inside `Study.optimize` alone; a lease is one
trial attribute, and works in every storage.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary
from zlib import crc32

import optuna
import psutil
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.locks import host_lock
from optuna_nas.pruners.curve import PREFIX
from optuna_nas.study.ending import told
from optuna_nas.study.storages.patience import answered

__all__ = [
    "BEGIN_SECONDS",
    "LEASE",
    "LEASE_SECONDS",
    "abandoned",
    "alive",
    "expired",
    "give_up",
    "hold",
    "identity",
    "lease_for",
    "release",
    "requeue",
    "take",
    "unfinished",
    "workers",
]

LEASE = "nas:lease"
LEASE_SECONDS = 300.0
"""A lease not renewed for this long has expired; one is renewed four times as often."""

BEGIN_SECONDS = 20.0
"""How long a trial that runs may be without a lease: it is taken just after it was asked for."""

LONG_AGO = 86400.0
"""Seconds after which the clocks of two hosts need not agree to call a lease expired."""

START_SECONDS = 10.0
"""Start times of a process that are taken for equal."""

MAX_LOSSES = 3
"""After so many dead processes, none of which got further than the one before, a network is not
tried again."""

_logger = logging.getLogger(__name__)
_SEEN: WeakKeyDictionary[BaseStorage, dict[int, tuple[object, float]]] = WeakKeyDictionary()
"""Id of a running trial -> its lease, and since when (monotonic) it was seen here as it is."""


@contextmanager
def hold(trial: optuna.Trial, seconds: float = LEASE_SECONDS) -> Iterator[None]:
    """Hold the lease of a running trial, renewing it from a thread until the block ends."""
    done = threading.Event()
    storage, trial_id = trial.study._storage, trial._trial_id

    def renew() -> None:
        storage.set_trial_system_attr(trial_id, LEASE, lease_for(seconds))

    def keep_renewing() -> None:
        while not done.wait(seconds / 4):
            try:
                renew()
            except Exception as error:  # the next renewal may reach the storage again
                _logger.warning(f"could not renew the lease of trial {trial.number}: {error}")

    renew()
    thread = threading.Thread(target=keep_renewing, daemon=True, name=f"lease-{trial.number}")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def abandoned(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Whether nobody works on a running trial any more.

    On the host of its process, that is looked for. Elsewhere the lease has expired when it was
    seen here for its whole time and not renewed: clocks jump, and those of two hosts may differ.

    Args:
        study: The study of the trial.
        trial: A trial of any state.
    """
    if trial.state != TrialState.RUNNING:
        return False
    lease = trial.system_attrs.get(LEASE)
    if lease is not None and lease["host"] == _host():
        return not alive(lease["pid"], lease["started"])
    renewed, started = (lease or {}).get("renewed"), trial.datetime_start
    seen = _SEEN.setdefault(study._storage, {})
    state = (started, renewed)
    first, since = seen.get(trial._trial_id, (None, 0.0))
    if first != state:
        since = time.monotonic()
        seen[trial._trial_id] = state, since
    since = max(since, answered(study._storage))  # before that, nobody could renew a lease
    seconds = BEGIN_SECONDS if lease is None else lease["seconds"]
    begun = renewed if renewed is not None else started.timestamp() if started else time.time()
    return bool(time.monotonic() - since > seconds or time.time() - begun > LONG_AGO)


def workers(study: optuna.Study) -> int:
    """Processes that hold the lease of a running trial now."""
    now = time.time()
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    leases = [trial.system_attrs[LEASE] for trial in running if LEASE in trial.system_attrs]
    return len({_holder(lease) for lease in leases if not expired(lease, now)})


def take(study: optuna.Study, key: str) -> bool:
    """Take a lease of which a study has one, such as that of writing its panels, or renew it.

    Two hosts that ask within one round trip to the storage may both get it; what it guards is
    done twice then, and nothing worse may come of that.

    Args:
        study: The study.
        key: System attribute of the study that holds the lease.

    Returns:
        Whether this process has it.
    """
    storage, study_id, own = study._storage, study._study_id, lease_for(LEASE_SECONDS)
    with host_lock(f"lease-{crc32(f'{study.study_name} {key}'.encode()):x}", timeout=60.0):
        held = storage.get_study_system_attrs(study_id).get(key)
        if held and _holder(held) != _holder(own) and not expired(held, time.time()):
            return False
        storage.set_study_system_attr(study_id, key, own)
    found: dict[str, Any] = storage.get_study_system_attrs(study_id)[key]
    return _holder(found) == _holder(own)


def release(study: optuna.Study, key: str) -> None:
    """Give a lease that `take` has given back."""
    study._storage.set_study_system_attr(study._study_id, key, None)


def requeue(study: optuna.Study) -> list[int]:
    """Put trials that were lost or interrupted back into the queue, with their parameters.

    One whose process died when all was in its record, and only its end not told, is ended. A new
    trial says in its user attribute `continues` which trial it takes up again. A network that
    took its process with it `MAX_LOSSES` times, and got no further, is left alone.

    Returns:
        Numbers of the trials that were put back.
    """
    with host_lock(f"requeue-{crc32(study.study_name.encode()):x}", timeout=60.0):
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if abandoned(study, trial) and not told(study, trial):
                _mark_lost(study, trial)
        left = unfinished(study.get_trials(deepcopy=False))
        for trial in left:
            wanted = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
            study.enqueue_trial(wanted, user_attrs={"continues": trial.number})
    return [trial.number for trial in left]


def unfinished(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Trials that ended without a word, or were lost or interrupted, and not taken up again."""
    taken_up = {t.user_attrs["continues"] for t in trials if "continues" in t.user_attrs}
    outcomes = {t.number: t.user_attrs.get("outcome") for t in trials}
    origin = {t.number: t.user_attrs.get("continues") for t in trials}

    def losses(number: int | None) -> int:
        """Times that the network took its process with it and got no further than before."""
        count = 0
        while number is not None:
            earlier = origin[number]
            stuck = earlier is None or _reached(trials[number]) <= _reached(trials[earlier])
            count += outcomes[number] != "interrupted" and stuck
            number = earlier
        return count

    return [
        t
        for t in trials
        if t.state == TrialState.FAIL
        and outcomes[t.number] != "failed"
        and t.number not in taken_up
        and losses(t.number) < MAX_LOSSES
    ]


def _reached(trial: FrozenTrial) -> int:
    """The last step that a trial reported, -1 for none."""
    steps = [int(key.removeprefix(PREFIX)) for key in trial.system_attrs if key.startswith(PREFIX)]
    return max([*steps, *trial.intermediate_values], default=-1)


def give_up(storage: BaseStorage, trial_id: int, outcome: str, reason: str) -> None:
    """Have a running trial, whose process is gone, fail; one that ended meanwhile stays so.

    Args:
        storage: Of the trial.
        trial_id: Its id there.
        outcome: `lost` where it is to be taken up again, `failed` where it is not.
        reason: What its record says.
    """
    try:
        storage.set_trial_user_attr(trial_id, "outcome", outcome)
        storage.set_trial_user_attr(trial_id, "ended", reason)
        storage.set_trial_state_values(trial_id, TrialState.FAIL)
    except optuna.exceptions.UpdateFinishedTrialError:
        _logger.info(f"trial {trial_id} was marked by another worker")


def _mark_lost(study: optuna.Study, trial: FrozenTrial) -> None:
    lease = trial.system_attrs.get(LEASE, {})
    where = f"process {lease['pid']} on {lease['host'].split()[0]}" if lease else "its process"
    give_up(study._storage, trial._trial_id, "lost", f"{where} died")


def _holder(lease: Mapping[str, Any]) -> tuple[Any, ...]:
    return lease["host"], lease["pid"], lease["started"]


def expired(lease: Mapping[str, Any], now: float) -> bool:
    """Whether nobody holds a lease any more, at a time in seconds since 1970."""
    if lease["host"] == _host():
        return not alive(lease["pid"], lease["started"])
    return bool(now - lease["renewed"] > lease["seconds"])


def lease_for(seconds: float) -> dict[str, Any]:
    """A lease of this process, from now on."""
    return {**identity(), "renewed": time.time(), "seconds": seconds}


def identity() -> dict[str, Any]:
    """What tells this process from every other one, on whatever host and at whatever time."""
    return {"host": _host(), "pid": os.getpid(), "started": _started(os.getpid())}


@lru_cache(maxsize=1)
def _host() -> str:
    """This host since its start, and where its process ids count: containers share names."""
    boot, names = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    parts = [socket.gethostname()]
    if boot.exists() and names.exists():
        parts += [boot.read_text().strip(), str(names.stat().st_ino)]
    return " ".join(parts)


@lru_cache(maxsize=4)
def _started(pid: int) -> float:
    return psutil.Process(pid).create_time()


def alive(pid: int, started: float) -> bool:
    """Whether that very process lives: a process id alone may have been given to another."""
    try:
        process = psutil.Process(pid)
        # Start times hang on the boot time, which the kernel gives anew, a second up or down.
        same = abs(process.create_time() - started) < START_SECONDS
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
