"""What a trial costs beside its training: from ask to tell, 40 parameters, two objectives.

Ours, on storages as `Search` opens them, beside Optuna's on storages as Optuna opens them, on the
same space with the same number of finished trials, in turn in one run. Round trips are statements
and commits sent to a database, reads and appends of a journal, or calls of a proxy; memory has
none.
"""

from __future__ import annotations

import multiprocessing
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import optuna
from optuna.exceptions import StorageInternalError
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, GrpcStorageProxy, JournalStorage, RDBStorage
from optuna.trial import TrialState
from rich.table import Table
from sqlalchemy import event

from optuna_nas.bench.filled import SPACE, Place, filled, finished_trial, opened, values_of
from optuna_nas.bench.processes import processes
from optuna_nas.pruners import ParetoHyperband, report, should_prune
from optuna_nas.samplers import MultiFidelity, by_name
from optuna_nas.study.storages.opening import masked

__all__ = ["PAIRS", "run", "table"]

Pair = tuple[Callable[[], BaseSampler], Callable[[], BaseSampler]]

PAIRS: dict[str, Pair] = {
    "random": (lambda: by_name("random", 0), RandomSampler),
    "nsga2": (lambda: by_name("nsga2", 0), NSGAIISampler),
    "predictor": (lambda: by_name("predictor", 0, _space), TPESampler),
    "optuna-nsga2": (lambda: MultiFidelity(NSGAIISampler()), NSGAIISampler),
    "optuna-tpe": (lambda: MultiFidelity(TPESampler()), TPESampler),
}
"""Ours, and Optuna's that it is compared with."""

SECONDS = 2.0
"""How long each worker goes on: longer where it has not yet finished two trials, and shorter where
all together have doubled the number of finished ones."""

TURNS = 5
"""How often ours and Optuna's take turns in memory; elsewhere each reads all trials first."""


def run(
    trials: Sequence[int] = (100, 1000),
    workers: Sequence[int] = (1, 4),
    storages: Sequence[str] = ("memory", "sqlite", "journal"),
    samplers: Sequence[str] = tuple(PAIRS),
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """Measure each sampler on each storage.

    Args:
        trials: Numbers of finished trials.
        workers: Numbers of processes (of threads in memory) that run trials at a time.
        storages: As in `filled`.
        samplers: Names out of `PAIRS`.
        seconds: How long each measurement goes on.

    Returns:
        `rows`, each of a storage, sampler, number of trials and workers: for `ours` and `optuna`
        the median `milliseconds` from ask to tell, `trials_per_second` of all workers together,
        `round_trips` a trial and `errors`, trials that the storage failed, and `ratio` of the
        milliseconds; `rungs`: milliseconds of a decision
        of `ParetoHyperband` in memory by number of trials.
    """
    rows = [
        row
        for storage in storages
        for finished in trials
        for row in _rows(storage, finished, workers, samplers, seconds)
    ]
    rungs = {str(finished): _rung(finished) for finished in trials}
    return {"parameters": len(SPACE), "seconds": seconds, "rows": rows, "rungs": rungs}


def table(result: dict[str, Any]) -> Table:
    """The result as a table for the terminal."""
    shown = Table(title=f"From ask to tell, {result['parameters']} parameters (Optuna's)")
    for column in ("storage", "sampler", "finished", "workers"):
        shown.add_column(column)
    for column in ("ms a trial", "ratio", "trials/s", "round trips", "failed"):
        shown.add_column(column, justify="right")
    for row in result["rows"]:
        ours, optunas = row["ours"], row["optuna"]
        shown.add_row(
            *(str(row[key]) for key in ("storage", "sampler", "finished", "workers")),
            f"{ours['milliseconds']:.1f} ({optunas['milliseconds']:.1f})",
            f"{row['ratio']:.2f}",
            f"{ours['trials_per_second']:.1f} ({optunas['trials_per_second']:.1f})",
            f"{ours['round_trips']:.0f} ({optunas['round_trips']:.0f})",
            f"{ours['errors']} ({optunas['errors']})",
        )
    rungs = ", ".join(f"{ms:.2f} ms at {n} trials" for n, ms in result["rungs"].items())
    shown.caption = f"a decision at a rung, in memory: {rungs}"
    return shown


def _rows(
    storage: str, finished: int, workers: Sequence[int], samplers: Sequence[str], seconds: float
) -> Iterator[dict[str, Any]]:
    with filled(storage, finished) as places, _pool(storage, max(workers)) as (pool, manager):
        for count in workers:
            for name in samplers:
                done: dict[str, list[_Done]] = {"ours": [], "optuna": []}
                turns = TURNS if storage == "memory" else 1
                for whose in tuple(done) * turns:
                    ours, together = whose == "ours", manager.Barrier(count)
                    with places(ours) as place:
                        work = partial(_work, place, name, ours, finished // count, together)
                        jobs = [pool.submit(work, seconds / turns) for _ in range(count)]
                        done[whose] += [job.result() for job in jobs]
                found = {whose: _summary(each, turns) for whose, each in done.items()}
                yield {
                    "storage": masked(storage),
                    "sampler": name,
                    "finished": finished,
                    "workers": count,
                    **found,
                    "ratio": found["ours"]["milliseconds"] / found["optuna"]["milliseconds"],
                }


class _Done(NamedTuple):
    """What a worker did: seconds of each trial, trials that the storage failed, round trips."""

    times: list[float]
    errors: int
    round_trips: float


def _summary(done: Sequence[_Done], turns: int) -> dict[str, float]:
    times = [spent for worker in done for spent in worker.times]
    rates = ((len(worker.times) - worker.errors) / sum(worker.times) for worker in done)
    return {
        "milliseconds": 1e3 * statistics.median(times),
        "trials_per_second": sum(rates) / turns,
        "round_trips": statistics.median(worker.round_trips for worker in done),
        "errors": sum(worker.errors for worker in done),
    }


def _work(
    place: Place, sampler: str, ours: bool, most: int, together: Any, seconds: float
) -> _Done:
    """Run trials in this process."""
    try:
        study = optuna.load_study(
            study_name=place[1],
            storage=opened(place, ours),
            sampler=PAIRS[sampler][0 if ours else 1](),
        )
        with suppress(StorageInternalError):
            _run(study)  # the first trial reads the whole history
        together.wait()
    except BaseException:
        together.abort()  # or the others would wait for ever
        raise
    times: list[float] = []
    errors = 0
    with _counted(study._storage) as trips:
        while len(times) < 2 or (sum(times) < seconds and len(times) < most):
            started = time.perf_counter()
            try:
                _run(study)
            except StorageInternalError:  # such as a file that is locked for too long
                errors += 1
            times.append(time.perf_counter() - started)
    return _Done(times, errors, trips[0] / len(times))


def _run(study: optuna.Study) -> None:
    trial = study.ask()
    study.tell(trial, _space(trial))


def _space(trial: optuna.Trial) -> tuple[float, float]:
    numbers = [trial.suggest_int(f"number{i}", 1, 9) for i in range(20)]
    words = [trial.suggest_categorical(f"word{i}", ["a", "b", "c"]) for i in range(20)]
    return values_of(numbers, words)


@contextmanager
def _pool(storage: str, workers: int) -> Iterator[tuple[Executor, Any]]:
    """Workers, and what makes them wait for one another."""
    if storage == "memory":
        with ThreadPoolExecutor(workers) as threads:
            yield threads, threading
    else:
        with processes(workers) as pool, multiprocessing.get_context("spawn").Manager() as manager:
            yield pool, manager


def _rung(finished: int, decisions: int = 20) -> float:
    """Milliseconds of a decision at the first rung of a study in memory."""
    study = optuna.create_study(
        directions=["minimize"] * 2, pruner=ParetoHyperband(1, 27), study_name="rungs"
    )
    study.add_trials([finished_trial(random.Random(number)) for number in range(finished)])
    times: list[float] = []
    rng = random.Random(finished)
    while len(times) < decisions:
        trial = study.ask()
        report(trial, 1, dict(zip("ab", finished_trial(rng).values or (), strict=True)))
        started = time.perf_counter()
        should_prune(trial)
        times.append(time.perf_counter() - started)
        study.tell(trial, state=TrialState.PRUNED)
    return 1e3 * statistics.median(times[1:])


@contextmanager
def _counted(storage: BaseStorage) -> Iterator[list[int]]:
    """Count the round trips of a storage while the block runs."""
    trips, lock = [0], threading.Lock()

    def count(*_: Any) -> None:
        with lock:
            trips[0] += 1

    backend = getattr(storage, "_backend", None)
    if isinstance(backend, RDBStorage):
        events = ("before_cursor_execute", "commit")
        for name in events:
            event.listen(backend.engine, name, count)
        yield trips
        for name in events:
            event.remove(backend.engine, name, count)
        return
    counted: Any = storage._stub if isinstance(storage, GrpcStorageProxy) else backend
    kept = {name: getattr(counted, name) for name in _calls(storage)}
    for name, method in kept.items():
        setattr(counted, name, _counting(method, count))
    yield trips
    for name, method in kept.items():
        setattr(counted, name, method)


def _calls(storage: BaseStorage) -> Sequence[str]:
    """Names of the methods that go to a journal or to a proxy."""
    if isinstance(storage, GrpcStorageProxy):
        return tuple(vars(storage._stub))
    return ("read_logs", "append_logs") if isinstance(storage, JournalStorage) else ()


def _counting(method: Callable[..., Any], count: Callable[[], None]) -> Callable[..., Any]:
    def counting(*args: Any, **kwargs: Any) -> Any:
        count()
        return method(*args, **kwargs)

    return counting
