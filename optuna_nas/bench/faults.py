"""Workers of a search killed at random, on a storage that goes away and a disk that is full.

A worker trains small networks until a file `stop` is in its folder, and leaves there what it did:
`PID.epochs`, `PID.told`, `PID.refused`. Workers are forked from a process that has imported
everything, so that a kill costs no minute of imports.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import optuna
from optuna.trial import FrozenTrial
from rich.table import Table

from optuna_nas.bench.accounts import account
from optuna_nas.bench.outages import Outage, full_disk, with_outages
from optuna_nas.datasets import ArrayDataModule
from optuna_nas.exceptions import SearchStopped
from optuna_nas.spaces import MLP
from optuna_nas.study import Budget, Search
from optuna_nas.study.lease import unfinished
from optuna_nas.study.storages.opening import connect, masked
from optuna_nas.study.storages.patience import PATIENCE

__all__ = ["run", "table"]

EPOCHS = (1, 9)
KINDS = ("kill", "restart", "fill")
BETWEEN = 2.0
"""Mean seconds between two faults."""
AWAY = (2.0, 8.0)
"""Seconds for which a storage is away, or a disk full: at least, and at most."""
SETTLE = 120.0
"""Most seconds after the last fault until every network is ended."""
REFUSALS = ("optuna_nas.study.storages.patience", "optuna_nas.study.checkpoints")
"""Loggers that warn of what could not be written."""

_CONTEXT = multiprocessing.get_context("forkserver")


def run(
    storage: str = "sqlite",
    workers: int = 4,
    kills: int = 20,
    restarts: int = 3,
    fills: int = 3,
    seed: int = 0,
) -> dict[str, Any]:
    """Disturb workers at random while they train, and look at what is left in storage.

    Args:
        storage: `sqlite` or `journal` (files in the temporary folder), or the URL of a database,
            where a study is made and deleted.
        workers: Processes at a time; whoever is killed, or ends, is replaced at once.
        kills: How many of them are killed.
        restarts: How often the storage goes away for seconds: a server is reached by a proxy that
            cuts and refuses connections; of a file, somebody else holds the lock.
        fills: How often the disk of all workers is full for seconds: none of their files grows.
        seed: Of what happens, to whom, and when.

    Returns:
        `kills_done`, `restarts_done`, `fills_done`; `ended`, workers that ended by themselves;
        `trials`; networks `finished` (complete, pruned or rejected), `failed`, `lost` (begun,
        and nobody goes on with them, or told as finished and not so in storage), `duplicated`
        (finished twice), `stuck` (running or waiting when all had time to end), `given_up` (killed
        with their process too often); `refused`, how often a worker could not write; `epochs`
        trained, `epochs_repeated` (trained already by the network's killed trials),
        `epochs_repeated_max` of one kill; `epochs_unsaved` and `epochs_unsaved_max`, the same of
        networks of which a checkpoint could not be written, as on a full disk;
        `recovery_seconds_max`, from a kill until another worker goes on with the network;
        `front_equal`, whether the front is that of the measurements in the records; and `told`,
        what is wrong with single trials.

    Raises:
        SearchStopped: Workers end by themselves, more often than faults explain.
        StudyError: The storage cannot be used.
    """
    name = f"bench-faults-{uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="optuna-nas-faults-") as temporary:
        folder = Path(temporary)
        url = {"sqlite": f"sqlite:///{folder}/s.db", "journal": f"{folder}/s.journal"}.get(
            storage, storage
        )
        study = _search(name, folder).study(url)  # before the first worker, which may be killed
        with with_outages(url) as (through, outage):
            crew = _Crew(through, name, folder, workers)
            with crew.working():
                done = _disturb(crew, outage, (kills, restarts, fills), random.Random(seed))
                _settle(study, crew)
        found = account(study, folder, crew.killed)
        if storage not in ("sqlite", "journal"):
            optuna.delete_study(study_name=name, storage=study._storage)
    return {
        "storage": masked(storage),
        "workers": workers,
        "kills_done": len(crew.killed),
        "restarts_done": done["restart"],
        "fills_done": done["fill"],
        "ended": crew.ended,
        **found,
    }


def table(result: dict[str, Any]) -> Table:
    """The result as a table for the terminal."""
    shown = Table(title=f"{result['workers']} workers, disturbed")
    shown.add_column("")
    shown.add_column(result["storage"], justify="right")
    for key, value in result.items():
        if key not in ("storage", "workers", "told"):
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


class _Crew:
    """Workers, of whom those that are gone are replaced.

    Args:
        url: Of the storage.
        name: Of the study.
        folder: Where they leave what they did.
        count: How many.

    Attributes:
        killed: Process id -> when (seconds since 1970) it was killed.
        ended: How many ended by themselves.
    """

    def __init__(self, url: str, name: str, folder: Path, count: int) -> None:
        self.killed: dict[int, float] = {}
        self.ended = 0
        self.folder = folder
        self._arguments = url, name, folder
        self._running: list[BaseProcess] = []
        self._count = count

    @contextmanager
    def working(self) -> Iterator[None]:
        """Have them work until the block ends."""
        _CONTEXT.set_forkserver_preload([__name__])
        try:
            self.replace()
            yield
        finally:
            for worker in self._running:
                worker.kill()
                worker.join()

    @property
    def processes(self) -> list[int]:
        """Ids of those that run."""
        return [worker.pid or 0 for worker in self._running]

    def replace(self) -> None:
        """Start as many as there are too few."""
        gone = [worker for worker in self._running if worker.exitcode is not None]
        self.ended += len(gone)
        self._running = [worker for worker in self._running if worker not in gone]
        while len(self._running) < self._count:
            worker = _CONTEXT.Process(target=_work, args=self._arguments)
            worker.start()
            self._running.append(worker)

    def kill(self, rng: random.Random) -> bool:
        """Kill one that has trained already; whether there is one."""
        busy = [w for w in self._running if (self.folder / f"{w.pid}.epochs").exists()]
        if not busy:
            return False
        worker = rng.choice(busy)
        worker.kill()
        self.killed[worker.pid or 0] = time.time()
        worker.join()
        self._running.remove(worker)
        self.replace()
        return True

    def join(self, deadline: float) -> None:
        """Wait until all have ended."""
        for worker in self._running:
            worker.join(max(deadline - time.monotonic(), 10.0))


def _disturb(
    crew: _Crew, outage: Outage, counts: tuple[int, int, int], rng: random.Random
) -> Mapping[str, int]:
    """Kill workers, and meanwhile take their storage or their disk away; how often that was."""
    left = [kind for kind, n in zip(KINDS, counts, strict=True) for _ in range(n)]
    rng.shuffle(left)
    ends = {"restart": outage, "fill": lambda: full_disk(crew.processes)}
    done: dict[str, list[Future[None]]] = {kind: [] for kind in ends}
    with ThreadPoolExecutor(1) as one_at_a_time:
        while left:
            time.sleep(rng.expovariate(1 / BETWEEN))
            crew.replace()
            if crew.ended > 2 * sum(counts):
                raise SearchStopped(f"expected workers to go on, but {crew.ended} ended")
            if left[-1] in ends:
                kind = left.pop()
                done[kind].append(one_at_a_time.submit(_for, rng.uniform(*AWAY), ends[kind]))
            elif crew.kill(rng):
                left.pop()
    return {kind: sum(f.result() is None for f in futures) for kind, futures in done.items()}


def _for(seconds: float, fault: Callable[[], AbstractContextManager[None]]) -> None:
    with fault():
        time.sleep(seconds)


def _settle(study: optuna.Study, crew: _Crew) -> None:
    """Let the workers take up what was lost, then end."""
    deadline = time.monotonic() + SETTLE
    last = max((t.number for t in study.get_trials(deepcopy=False)), default=0)
    while time.monotonic() < deadline:
        crew.replace()
        trials = study.get_trials(deepcopy=False)
        if all(t.state.is_finished() for t in trials if t.number <= last) and not unfinished(
            trials
        ):
            break
        time.sleep(0.5)
    (crew.folder / "stop").touch()
    crew.join(deadline)


def _work(url: str, name: str, folder: Path) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    own, parent = folder / str(os.getpid()), os.getppid()
    for logger in REFUSALS:
        logging.getLogger(logger).addHandler(logging.FileHandler(own.with_suffix(".refused")))

    def on_epoch(trial: int | None, epochs: int, values: Mapping[str, float]) -> None:
        with own.with_suffix(".epochs").open("a") as log:
            log.write(f"{trial} {epochs}\n")

    def on_end(study: optuna.Study, trial: FrozenTrial) -> None:
        with own.with_suffix(".told").open("a") as log:
            log.write(f"{trial.number} {trial.state.name}\n")
        if (folder / "stop").exists() or os.getppid() != parent:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        storage = connect(url, PATIENCE)
        _search(name, folder).run(10**6, storage, callbacks=[on_end], on_epoch=on_epoch)
