"""What a trial costs beside its training: from ask to tell, 40 parameters, two objectives.

Ours, on storages as `Search` opens them, beside Optuna's on storages as Optuna opens them, on the
same space with the same number of finished trials, in turn in one run. Round trips are statements
and commits sent to a database, or reads and appends of a journal; memory has none.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from typing import Any
from uuid import uuid4

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial
from rich.table import Table
from sqlalchemy import event, insert

from optuna_nas.bench.processes import processes
from optuna_nas.pruners import ParetoHyperband, report, should_prune
from optuna_nas.samplers import MultiFidelity, by_name
from optuna_nas.study.storages.opening import connect, masked

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

SPACE: dict[str, BaseDistribution] = {
    **{f"number{i}": IntDistribution(1, 9) for i in range(20)},
    **{f"word{i}": CategoricalDistribution(("a", "b", "c")) for i in range(20)},
}
SECONDS = 2.0
"""How long each worker goes on, and longer where it has not yet finished two trials."""


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
        storages: `memory`, `sqlite` or `journal` (files in the temporary folder), or the URL of a
            database, where a study is made and deleted.
        samplers: Names out of `PAIRS`.
        seconds: How long each measurement goes on.

    Returns:
        `rows`, each of a storage, sampler, number of trials and workers: for `ours` and `optuna`
        the median `milliseconds` from ask to tell, `trials_per_second` of all workers together and
        `round_trips` a trial, and `ratio` of the milliseconds; `rungs`: milliseconds of a decision
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
    for column in ("ms a trial", "ratio", "trials/s", "round trips"):
        shown.add_column(column, justify="right")
    for row in result["rows"]:
        ours, optunas = row["ours"], row["optuna"]
        shown.add_row(
            *(str(row[key]) for key in ("storage", "sampler", "finished", "workers")),
            f"{ours['milliseconds']:.1f} ({optunas['milliseconds']:.1f})",
            f"{row['ratio']:.2f}",
            f"{ours['trials_per_second']:.1f} ({optunas['trials_per_second']:.1f})",
            f"{ours['round_trips']:.0f} ({optunas['round_trips']:.0f})",
        )
    rungs = ", ".join(f"{ms:.2f} ms at {n} trials" for n, ms in result["rungs"].items())
    shown.caption = f"a decision at a rung, in memory: {rungs}"
    return shown


def _rows(
    storage: str, finished: int, workers: Sequence[int], samplers: Sequence[str], seconds: float
) -> Iterator[dict[str, Any]]:
    with _studies(storage, finished) as (ours, optunas), _pool(storage, max(workers)) as pool:
        for count in workers:
            for name in samplers:
                found = {
                    "ours": _measured(pool, ours, name, True, count, seconds),
                    "optuna": _measured(pool, optunas, name, False, count, seconds),
                }
                yield {
                    "storage": masked(storage),
                    "sampler": name,
                    "finished": finished,
                    "workers": count,
                    **found,
                    "ratio": found["ours"]["milliseconds"] / found["optuna"]["milliseconds"],
                }


def _measured(
    pool: Executor, place: _Place, sampler: str, ours: bool, workers: int, seconds: float
) -> dict[str, float]:
    jobs = [pool.submit(_work, place, sampler, ours, seconds) for _ in range(workers)]
    done = [job.result() for job in jobs]
    times = [spent for own, _ in done for spent in own]
    return {
        "milliseconds": 1e3 * statistics.median(times),
        "trials_per_second": sum(len(own) / sum(own) for own, _ in done),
        "round_trips": statistics.median(trips for _, trips in done),
    }


_Place = tuple[str | BaseStorage, str]
"""URL or storage, and name of the study in it."""


def _work(place: _Place, sampler: str, ours: bool, seconds: float) -> tuple[list[float], float]:
    """Run trials in this process: seconds of each, and round trips a trial."""
    where, name = place
    storage = _opened(where, ours)
    study = optuna.load_study(
        study_name=name, storage=storage, sampler=PAIRS[sampler][0 if ours else 1]()
    )
    _timed(study)  # the first trial reads the whole history
    with _counted(study._storage) as trips:
        times = [_timed(study)]
        while sum(times) < seconds or len(times) < 2:
            times.append(_timed(study))
    return times, trips[0] / len(times)


def _timed(study: optuna.Study) -> float:
    started = time.perf_counter()
    trial = study.ask()
    study.tell(trial, _space(trial))
    return time.perf_counter() - started


def _space(trial: optuna.Trial) -> tuple[float, float]:
    numbers = [trial.suggest_int(f"number{i}", 1, 9) for i in range(20)]
    words = [trial.suggest_categorical(f"word{i}", ["a", "b", "c"]) for i in range(20)]
    return _values(numbers, words)


def _values(numbers: list[int], words: list[str]) -> tuple[float, float]:
    return float(sum(numbers)), float(words.count("a") - numbers[0])


def _opened(where: str | BaseStorage, ours: bool) -> BaseStorage:
    if not isinstance(where, str):
        return where
    if where.startswith("journal:"):
        return JournalStorage(JournalFileBackend(where.removeprefix("journal:")))
    return connect(where) if ours else optuna.storages.get_storage(where)


@contextmanager
def _pool(storage: str, workers: int) -> Iterator[Executor]:
    if storage == "memory":
        with ThreadPoolExecutor(workers) as threads:
            yield threads
    else:
        with processes(workers) as pool:
            yield pool


@contextmanager
def _studies(storage: str, finished: int) -> Iterator[tuple[_Place, _Place]]:
    """A study with some finished trials for ours, and one for Optuna's."""
    name = f"bench-overhead-{uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="optuna-nas-overhead-") as folder:
        places: dict[str, str | BaseStorage] = {
            "memory": InMemoryStorage(),
            "sqlite": f"sqlite:///{folder}/ours.db",
            "journal": f"journal:{folder}/journal.log",
        }
        where = places.get(storage, storage)
        opened = _opened(where, ours=True)
        _fill(
            optuna.create_study(study_name=name, storage=opened, directions=["minimize"] * 2),
            finished,
        )
        try:
            if storage != "sqlite":
                yield (where, name), (where, name)
            else:
                plain = f"{folder}/plain.db"
                with closing(sqlite3.connect(f"{folder}/ours.db")) as connection:
                    connection.execute("VACUUM INTO ?", (plain,))
                yield (where, name), (f"sqlite:///{plain}", name)
        finally:
            with suppress(KeyError):
                optuna.delete_study(study_name=name, storage=opened)


def _fill(study: optuna.Study, count: int) -> None:
    """Give a study finished trials, as random search leaves them."""
    made = [_random(random.Random(number)) for number in range(count)]
    backend = getattr(study._storage, "_backend", None)
    if not isinstance(backend, RDBStorage):
        study.add_trials(made)
        return
    # As trials are added one by one, ten thousand of them would take minutes.
    kinds = {name: optuna.distributions.distribution_to_json(kind) for name, kind in SPACE.items()}
    with backend.engine.begin() as connection:
        for number, trial in enumerate(made):
            row = {
                "study_id": study._study_id,
                "number": number,
                "state": TrialState.COMPLETE,
                "datetime_start": trial.datetime_start,
                "datetime_complete": trial.datetime_complete,
            }
            table_ = models.TrialModel.__table__
            made_key = connection.execute(insert(table_), row).inserted_primary_key
            assert made_key is not None
            (trial_id,) = made_key
            connection.execute(
                insert(models.TrialParamModel.__table__),
                [
                    {
                        "trial_id": trial_id,
                        "param_name": key,
                        "param_value": SPACE[key].to_internal_repr(value),
                        "distribution_json": kinds[key],
                    }
                    for key, value in trial.params.items()
                ],
            )
            connection.execute(
                insert(models.TrialValueModel.__table__),
                [
                    {"trial_id": trial_id, "objective": k, "value": v, "value_type": "FINITE"}
                    for k, v in enumerate(trial.values or ())
                ],
            )


def _random(rng: random.Random) -> FrozenTrial:
    numbers = [rng.randint(1, 9) for _ in range(20)]
    words = [rng.choice("abc") for _ in range(20)]
    values = _values(numbers, words)
    return create_trial(
        params=dict(zip(SPACE, [*numbers, *words], strict=True)),
        distributions=SPACE,
        values=values,
        system_attrs={"nas:step:1": values, "completed_rung_0": values},
    )


def _rung(finished: int, decisions: int = 20) -> float:
    """Milliseconds of a decision at the first rung of a study in memory."""
    study = optuna.create_study(
        directions=["minimize"] * 2, pruner=ParetoHyperband(1, 27), study_name="rungs"
    )
    study.add_trials([_random(random.Random(number)) for number in range(finished)])
    times: list[float] = []
    rng = random.Random(finished)
    while len(times) < decisions:
        trial = study.ask()
        report(trial, 1, dict(zip("ab", _random(rng).values or (), strict=True)))
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
        names = ("before_cursor_execute", "commit")
        for name in names:
            event.listen(backend.engine, name, count)
        yield trips
        for name in names:
            event.remove(backend.engine, name, count)
        return
    methods = ("read_logs", "append_logs") if isinstance(storage, JournalStorage) else ()
    for name in methods:
        setattr(backend, name, _counting(getattr(backend, name), count))
    yield trips
    for name in methods:
        delattr(backend, name)


def _counting(method: Callable[..., Any], count: Callable[[], None]) -> Callable[..., Any]:
    def counting(*args: Any, **kwargs: Any) -> Any:
        count()
        return method(*args, **kwargs)

    return counting
