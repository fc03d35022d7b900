"""Going on with a study on another device: its trials are measured anew there.

Optuna never alters a finished trial, nor the name of a study. So the measured trials go into a
study of their own, NAME@remeasuring, one by one; once all are there, the old study is copied to
NAME@<digest of its device>, and the new one takes its name. Whatever ends the process, nothing is
lost, and the same command goes on from there.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.exceptions import StudyError
from optuna_nas.locks import host_lock
from optuna_nas.measuring.device import fingerprint
from optuna_nas.study import lease
from optuna_nas.study.anew import measured_anew
from optuna_nas.study.begin import check_objectives
from optuna_nas.study.description import digest
from optuna_nas.study.remeasure import Progress
from optuna_nas.study.resuming import hold_to, staging

if TYPE_CHECKING:
    from optuna_nas.study.search import Search

__all__ = ["measure_anew"]

JOB = "remeasuring"
"""User attribute of the staging study: `archive` (a name), `device`, `complete`."""
OUTDATED = ("feasibility", "remeasured")
"""User attributes that hold values of the other device."""


def measure_anew(search: Search, storage: BaseStorage, progress: Progress) -> None:
    """Measure the trials of a study that was begun on another device on this one.

    A study of this device, and one that does not exist, is left alone; what another device has
    measured of it so far is dropped. Networks that a cap on the other device rejected and that
    keep it here are taken up again by the next run; those that cannot be measured here, where
    another network can, fail with the reason.

    Args:
        search: The search of the study.
        storage: Where the study is.
        progress: Told after each trial.

    Raises:
        StudyError: The study belongs to another search, or is being run, or measured anew by
            another process.
        DescriptionError: A quantity cannot be measured here.
        MeasurementError: The machine is too disturbed; the same call goes on from there.
    """
    with host_lock(f"study-{crc32(search.name.encode()):x}", timeout=120.0):
        _finish(search, storage)
        study = _load(search.name, storage)
        if study is None or study.user_attrs.get("device", fingerprint()) == fingerprint():
            _delete(staging(search.name), storage)
            return
        hold_to(study, search.description, on_device=False)
        _check_alone(study)
        check_objectives(search)
        _measure_all(search, study, _staged(search, study), progress)
        _finish(search, storage)
    search.prepared.pop(storage, None)


def _finish(search: Search, storage: BaseStorage) -> None:
    """Let a complete staging study take the place of the old one; may be done over and over."""
    staged = _load(staging(search.name), storage)
    job = {} if staged is None else staged.user_attrs.get(JOB, {})
    if staged is None or not job.get("complete"):
        return
    archived = _load(job["archive"], storage)
    old = _load(search.name, storage)
    if archived is None or not archived.user_attrs.get("archived"):
        if old is None:
            raise StudyError(f"expected study {search.name!r} in the storage, got none")
        _delete(job["archive"], storage)
        _copy(old, job["archive"]).set_user_attr("archived", True)
    _delete(search.name, storage)
    _copy(staged, search.name, without=(JOB,))
    _delete(staged.study_name, storage)


def _staged(search: Search, study: optuna.Study) -> optuna.Study:
    """The staging study: the one of an interrupted job on this device, or a new one."""
    storage = study._storage
    staged = _load(staging(search.name), storage)
    if staged is not None and staged.user_attrs.get(JOB, {}).get("device") == fingerprint():
        done, trials = (_identities(s.get_trials(deepcopy=False)) for s in (staged, study))
        if done == trials[: len(done)]:
            return staged
    _delete(staging(search.name), storage)
    staged = _create(study, staging(search.name))
    shared = {o.name: o.calibrate() for o in search.measured}
    _copy_attributes(study, staged, without=OUTDATED)
    staged.set_user_attr("calibrations", {k: v for k, v in shared.items() if v is not None})
    staged.set_user_attr("device", fingerprint())
    name = f"{search.name}@{digest(study.user_attrs['device'])[:8]}"
    taken = set(optuna.get_all_study_names(storage))
    names = (name, *(f"{name}-{count}" for count in range(2, len(taken) + 3)))
    archive = next(name for name in names if name not in taken)
    staged.set_user_attr("archive", archive)
    staged.set_user_attr(JOB, {"archive": archive, "device": fingerprint()})
    return staged


def _measure_all(
    search: Search, study: optuna.Study, staged: optuna.Study, progress: Progress
) -> None:
    """Add what is missing in the staging study, trial by trial, and mark it as complete."""
    trials = study.get_trials(deepcopy=False)
    known: dict[str, dict[str, Any]] = {}
    done = staged.get_trials(deepcopy=False)
    for trial in done:
        _remember(trial, known)
    for trial in trials[len(done) :]:
        anew = measured_anew(search, trial, staged.user_attrs["calibrations"], known)
        _remember(anew, known)
        _check_count(staged, trial.number)
        staged.add_trial(anew)
        progress(trial.number + 1, len(trials))
    for whole in (study, staged):
        _check_count(whole, len(trials))
    staged.set_user_attr(JOB, {**staged.user_attrs[JOB], "complete": True})


def _remember(trial: FrozenTrial, known: dict[str, dict[str, Any]]) -> None:
    """Keep what was measured of a network, which may have several trials."""
    if trial.state != TrialState.FAIL and "digest" in trial.user_attrs:
        found = known.setdefault(trial.user_attrs["digest"], {})
        found.update(trial.user_attrs.get("measurements", {}))


def _check_alone(study: optuna.Study) -> None:
    lease.requeue(study)
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    if running:
        raise StudyError(
            f"expected that nobody runs study {study.study_name!r}, got running trials "
            f"{[trial.number for trial in running]}; end the other workers first"
        )


def _check_count(study: optuna.Study, expected: int) -> None:
    found = len(study.get_trials(deepcopy=False))
    if found != expected:
        raise StudyError(
            f"expected study {study.study_name!r} to have {expected} trials, got {found}: another "
            "process works on it; wait for that to end, and give the same command again"
        )


def _identities(trials: Sequence[FrozenTrial]) -> list[Any]:
    """What tells a trial from others, and is equal in its copy."""
    return [(trial.params, trial.datetime_start) for trial in trials]


def _load(name: str, storage: BaseStorage) -> optuna.Study | None:
    known = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage) if name in known else None


def _delete(name: str, storage: BaseStorage) -> None:
    if name in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=name, storage=storage)


def _create(like: optuna.Study, name: str) -> optuna.Study:
    return optuna.create_study(study_name=name, storage=like._storage, directions=like.directions)


def _copy(study: optuna.Study, name: str, without: Container[str] = ()) -> optuna.Study:
    """Copy a study within its storage, but for some user attributes."""
    copied = _create(study, name)
    _copy_attributes(study, copied, without)
    for trial in study.get_trials(deepcopy=False):
        copied.add_trial(trial)
    return copied


def _copy_attributes(study: optuna.Study, other: optuna.Study, without: Container[str]) -> None:
    storage = study._storage
    for key, value in storage.get_study_system_attrs(study._study_id).items():
        storage.set_study_system_attr(other._study_id, key, value)
    for key, value in study.user_attrs.items():
        if key not in without:
            other.set_user_attr(key, value)
