"""What workers that were killed have left in storage: what is lost, done twice, or stuck."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.pareto import losses, on_front
from optuna_nas.pruners.lineages import Lineages
from optuna_nas.reporting.front import front
from optuna_nas.study.lease import LEASE, unfinished

__all__ = ["account"]

FATES = ("finished", "failed", "lost", "duplicated", "stuck", "given_up")
REFUSED = ("the storage fails", "cannot save")
"""How what a worker logs begins, where it could not write."""


def account(study: optuna.Study, folder: Path, killed: Mapping[int, float]) -> dict[str, Any]:
    """What has become of the networks of a study, by its records and by what its workers noted.

    Args:
        study: The study, of `accuracy` and `parameters`.
        folder: Where each worker has left `PID.epochs` (trial and epoch), `PID.told` (trial and
            state) and `PID.refused` (what it could not write).
        killed: Process id -> when (seconds since 1970) it was killed.

    Returns:
        As `bench.faults.run` says.
    """
    trials = study.get_trials(deepcopy=False)
    lineages = Lineages(study)
    networks: dict[int, list[FrozenTrial]] = defaultdict(list)
    for trial in trials:
        networks[lineages.root(trial)].append(trial)
    left = {trial.number for trial in unfinished(trials)}
    told, counts = [], Counter[str]()
    for root, own in networks.items():
        what = _fate(own, left)
        counts[what] += 1
        if what != "finished":
            last = own[-1]
            told.append(
                f"network {root}: {what}, {last.state.name} {dict(last.user_attrs).get('ended')}"
            )
    trained = Counter(t.user_attrs["training"] for t in trials if _trained(t))
    counts["duplicated"] += sum(count - 1 for count in trained.values())
    for path in folder.glob("*.told"):
        for number, state in map(str.split, path.read_text().splitlines()):
            if trials[int(number)].state.name != state:
                counts["lost"] += 1
                told.append(
                    f"trial {number}: told as {state}, in storage {trials[int(number)].state}"
                )
    return {
        "trials": len(trials),
        **{key: counts[key] for key in FATES},
        "refused": sum(map(_refusals, folder.glob("*.refused"))),
        **_repeated(lineages, trials, folder),
        "recovery_seconds_max": max(_recoveries(trials, killed), default=0.0),
        "front_equal": _front_equal(study, trials),
        "told": told,
    }


def _refusals(log: Path) -> int:
    return sum(line.startswith(REFUSED) for line in log.read_text().splitlines())


def _fate(own: list[FrozenTrial], left: set[int]) -> str:
    last = own[-1]
    if not last.state.is_finished():
        return "stuck"
    if last.state != TrialState.FAIL:
        return "finished"
    if last.user_attrs.get("outcome") == "failed":
        return "failed"
    return "lost" if last.number in left else "given_up"


def _trained(trial: FrozenTrial) -> bool:
    """Whether a trial ended a training by itself, and so did not tell again what another found."""
    attrs = trial.user_attrs
    ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return ended and "training" in attrs and "reused_from" not in attrs


def _repeated(lineages: Lineages, trials: list[FrozenTrial], folder: Path) -> dict[str, int]:
    """Epochs that were trained more than once in a network's lineage.

    Those of networks of which a checkpoint could not be written are counted apart.
    """
    unsaved = {root for path in folder.glob("*.refused") for root in _unsaved(path.read_text())}
    by_trial: dict[int, list[int]] = defaultdict(list)
    for path in folder.glob("*.epochs"):
        for line in path.read_text().splitlines():
            number, epoch = map(int, line.split())
            by_trial[number].append(epoch)
    seen: dict[int, set[int]] = defaultdict(set)
    again: dict[bool, list[int]] = {False: [], True: []}
    for number in sorted(by_trial):
        root = lineages.root(trials[number])
        again[root in unsaved].append(len(seen[root].intersection(by_trial[number])))
        seen[root].update(by_trial[number])
    return {
        "epochs": sum(map(len, by_trial.values())),
        "epochs_repeated": sum(again[False]),
        "epochs_repeated_max": max(again[False], default=0),
        "epochs_unsaved": sum(again[True]),
        "epochs_unsaved_max": max(again[True], default=0),
    }


def _unsaved(log: str) -> Iterator[int]:
    """First trials of the networks of which a checkpoint could not be written."""
    return (int(root) for root in re.findall(r"^cannot save .*?(\d+)-\w+-\w+\.ckpt:", log, re.M))


def _recoveries(trials: list[FrozenTrial], killed: Mapping[int, float]) -> Iterator[float]:
    """Seconds from each kill of a running trial until its network was trained again."""
    after = {t.user_attrs["continues"]: t for t in trials if "continues" in t.user_attrs}
    for trial in trials:
        pid = trial.system_attrs.get(LEASE, {}).get("pid")
        follower = after.get(trial.number)
        if pid in killed and trial.user_attrs.get("outcome") == "lost" and follower is not None:
            started = follower.datetime_start or datetime.now()
            yield started.timestamp() - killed[pid]


def _front_equal(study: optuna.Study, trials: list[FrozenTrial]) -> bool:
    """Whether the front is that of the complete trials' own measurements."""
    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    names = ("accuracy", "parameters")
    values = [[t.user_attrs["measurements"][n]["value"] for n in names] for t in complete]
    if any(list(t.values or ()) != own for t, own in zip(complete, values, strict=True)):
        return False
    best = on_front(losses(values, study.directions)) if values else ()
    wanted = {tuple(own) for own, good in zip(values, best, strict=True) if good}
    return {tuple(record.values[n] for n in names) for record in front(study)} == wanted
