"""Workers of a search killed at random: what is lost, done twice, or stuck afterwards.

A worker trains small networks until a file `stop` is in its folder, and leaves there what it did:
`PID.epochs` and `PID.told`. Workers are forked from a process that has imported everything, so
that a kill costs no minute of imports.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.table import Table

from optuna_nas.datasets import ArrayDataModule
from optuna_nas.exceptions import SearchStopped
from optuna_nas.pareto import losses, on_front
from optuna_nas.pruners.lineages import Lineages
from optuna_nas.reporting.front import front
from optuna_nas.spaces import MLP
from optuna_nas.study import Budget, Search
from optuna_nas.study.lease import LEASE, unfinished
from optuna_nas.study.storages.opening import connect, masked

__all__ = ["run", "table"]

EPOCHS = (1, 9)
BETWEEN = 2.0
"""Mean seconds between two kills."""
SETTLE = 120.0
"""Most seconds after the last kill until every network is ended."""

_CONTEXT = multiprocessing.get_context("forkserver")


def run(
    storage: str = "sqlite", workers: int = 4, kills: int = 20, seed: int = 0
) -> dict[str, Any]:
    """Kill workers at random while they train, and look at what is left in storage.

    Args:
        storage: `sqlite` or `journal` (files in the temporary folder), or the URL of a database,
            where a study is made and deleted.
        workers: Processes at a time; whoever is killed is replaced at once.
        kills: How many.
        seed: Of who is killed, and when.

    Returns:
        `kills_done`; `trials`; networks `finished` (complete, pruned or rejected), `lost` (begun,
        and nobody goes on with them, or told as finished and not so in storage), `duplicated`
        (finished twice), `stuck` (running or waiting when all had time to end), `given_up` (killed
        with their process too often); `epochs` trained, `epochs_repeated` (trained
        already by the network's killed trials), `epochs_repeated_max` of one kill;
        `recovery_seconds_max`, from a kill until another worker goes on with the network;
        `front_equal`, whether the front is that of the measurements in the records; and
        `told`, what is wrong with single trials.
    """
    name = f"bench-faults-{uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="optuna-nas-faults-") as folder:
        url = {"sqlite": f"sqlite:///{folder}/s.db", "journal": f"{folder}/s.journal"}.get(
            storage, storage
        )
        _search(name, Path(folder)).study(url)  # before the first worker, which may be killed
        killed = _disturb(url, name, Path(folder), workers, kills, random.Random(seed))
        study = optuna.load_study(study_name=name, storage=connect(url))
        found = _account(study, Path(folder), killed)
        if storage not in ("sqlite", "journal"):
            optuna.delete_study(study_name=name, storage=study._storage)
    return {"storage": masked(storage), "workers": workers, "kills_done": len(killed), **found}


def table(result: dict[str, Any]) -> Table:
    """The result as a table for the terminal."""
    shown = Table(title=f"{result['kills_done']} kills of {result['workers']} workers")
    shown.add_column("")
    shown.add_column(result["storage"], justify="right")
    for key, value in result.items():
        if key not in ("storage", "workers", "kills_done", "told"):
            shown.add_row(
                key.replace("_", " "), f"{value:g}" if key != "front_equal" else str(value)
            )
    shown.caption = "\n".join(result["told"])
    return shown


def _search(name: str, folder: Path) -> Search:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 16)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] + x[:, 2] > 0).astype(np.int64) + (x[:, 3] > 1)
    return Search(
        name=name,
        space=MLP(layers=(1, 2, 3, 4), widths=(16, 32, 64, 128)),
        data=ArrayDataModule(x, y, batch_size=32, test=0.0),
        objectives=["accuracy", "parameters"],
        fidelity=Budget(epochs=EPOCHS),
        trainer={"accelerator": "cpu"},
        threads=1,
        checkpoints=folder / "checkpoints",
    )


def _disturb(
    url: str, name: str, folder: Path, workers: int, kills: int, rng: random.Random
) -> dict[int, float]:
    """Kill workers and replace them; process id -> time of its kill."""
    killed: dict[int, float] = {}
    _CONTEXT.set_forkserver_preload([__name__])
    with _running(url, name, folder) as running:
        for _ in range(workers):
            running.append(_start(url, name, folder))
        while len(killed) < kills:
            time.sleep(rng.expovariate(1 / BETWEEN))
            busy = [w for w in running if (folder / f"{w.pid}.epochs").exists()]
            ended = [w for w in running if w.exitcode is not None]
            if ended:
                raise SearchStopped(f"expected workers to go on, one ended: {ended[0].exitcode}")
            if not busy:
                continue  # they are still starting
            worker = rng.choice(busy)
            worker.kill()
            killed[worker.pid or 0] = time.time()
            worker.join()
            running.remove(worker)
            running.append(_start(url, name, folder))
        _settle(url, name, folder, running)
    return killed


@contextmanager
def _running(url: str, name: str, folder: Path) -> Iterator[list[BaseProcess]]:
    running: list[BaseProcess] = []
    try:
        yield running
    finally:
        for worker in running:
            worker.kill()
            worker.join()


def _start(url: str, name: str, folder: Path) -> BaseProcess:
    worker = _CONTEXT.Process(target=_work, args=(url, name, folder))
    worker.start()
    return worker


def _settle(url: str, name: str, folder: Path, running: list[BaseProcess]) -> None:
    """Let the workers take up what was lost, then end."""
    study = optuna.load_study(study_name=name, storage=connect(url))
    deadline = time.monotonic() + SETTLE
    last = max((t.number for t in study.get_trials(deepcopy=False)), default=0)
    while time.monotonic() < deadline:
        trials = study.get_trials(deepcopy=False)
        if all(t.state.is_finished() for t in trials if t.number <= last) and not unfinished(
            trials
        ):
            break
        time.sleep(0.5)
    (folder / "stop").touch()
    for worker in running:
        worker.join(max(deadline - time.monotonic(), 10.0))


def _account(study: optuna.Study, folder: Path, killed: Mapping[int, float]) -> dict[str, Any]:
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
        **{key: counts[key] for key in ("finished", "lost", "duplicated", "stuck", "given_up")},
        **_repeated(lineages, trials, folder),
        "recovery_seconds_max": max(_recoveries(trials, killed), default=0.0),
        "front_equal": _front_equal(study, trials),
        "told": told,
    }


def _fate(own: list[FrozenTrial], left: set[int]) -> str:
    last = own[-1]
    if not last.state.is_finished():
        return "stuck"
    if last.state != TrialState.FAIL or last.user_attrs.get("outcome") == "failed":
        return "finished"
    return "lost" if last.number in left else "given_up"


def _trained(trial: FrozenTrial) -> bool:
    """Whether a trial ended a training by itself, and so did not tell again what another found."""
    attrs = trial.user_attrs
    ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return ended and "training" in attrs and "reused_from" not in attrs


def _repeated(lineages: Lineages, trials: list[FrozenTrial], folder: Path) -> dict[str, int]:
    """Epochs that were trained more than once in a network's lineage."""
    by_trial: dict[int, list[int]] = defaultdict(list)
    for path in folder.glob("*.epochs"):
        for line in path.read_text().splitlines():
            number, epoch = map(int, line.split())
            by_trial[number].append(epoch)
    seen: dict[int, set[int]] = defaultdict(set)
    again = []
    for number in sorted(by_trial):
        known = seen[lineages.root(trials[number])]
        again.append(len(known.intersection(by_trial[number])))
        known.update(by_trial[number])
    return {
        "epochs": sum(map(len, by_trial.values())),
        "epochs_repeated": sum(again),
        "epochs_repeated_max": max(again, default=0),
    }


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


def _work(url: str, name: str, folder: Path) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    own, parent = folder / str(os.getpid()), os.getppid()

    def on_epoch(trial: int | None, epochs: int, values: Mapping[str, float]) -> None:
        with own.with_suffix(".epochs").open("a") as log:
            log.write(f"{trial} {epochs}\n")

    def on_end(study: optuna.Study, trial: FrozenTrial) -> None:
        with own.with_suffix(".told").open("a") as log:
            log.write(f"{trial.number} {trial.state.name}\n")
        if (folder / "stop").exists() or os.getppid() != parent:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        _search(name, folder).run(10**6, url, callbacks=[on_end], on_epoch=on_epoch)
