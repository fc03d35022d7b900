"""Time of a Search trial against a bare torch loop that takes the same steps on the digits."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import optuna
import torch
from optuna.storages import BaseStorage, InMemoryStorage
from rich.table import Table
from torch.nn.functional import cross_entropy

from optuna_nas.architecture import Architecture
from optuna_nas.datasets import Digits
from optuna_nas.model import Classifier, build
from optuna_nas.objectives import Accuracy, Parameters
from optuna_nas.spaces import CNN
from optuna_nas.study import Budget, Search

__all__ = ["run", "table"]

EPOCHS = 18
SPACE = CNN(input_shape=(1, 8, 8), blocks=(3, 5), channels=(8, 16, 32, 64), kernels=(3, 5))


def run(networks: int = 7) -> dict[str, Any]:
    """Time whole trials and bare loops in turn, for the same drawn networks.

    A trial is asked for, draws, identifies, builds, counts parameters, trains, validates and
    reports each epoch, leaves its record in storage and is told. Left out, since it is no
    training: the measuring of latency, and the live view.

    Args:
        networks: Networks, each trained once in each way; one more warms up.

    Returns:
        Median seconds of each way, and the median over networks of the ratios to the bare loop:
        of a trial in memory, and of one that also writes to an SQLite file.
    """
    data = Digits()
    data.prepare_data()
    data.setup("fit")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        timed = [_times(data, seed, folder) for seed in range(networks + 1)][1:]
    torch.set_num_threads(threads)
    bare, memory, sqlite = zip(*timed, strict=True)
    return {
        "networks": networks,
        "epochs": EPOCHS,
        "seconds_bare": median(bare),
        "seconds_search": median(memory),
        "seconds_search_sqlite": median(sqlite),
        "ratio": median(a / b for a, b in zip(memory, bare, strict=True)),
        "ratio_sqlite": median(a / b for a, b in zip(sqlite, bare, strict=True)),
    }


def table(result: dict[str, Any]) -> Table:
    """The result as a table for the terminal."""
    made = Table(title=f"{result['networks']} networks, {result['epochs']} epochs of the digits")
    for column in ("", "seconds", "ratio"):
        made.add_column(column, justify="right")
    made.add_row("bare torch loop", f"{result['seconds_bare']:.2f}", "1.00")
    made.add_row("trial in memory", f"{result['seconds_search']:.2f}", f"{result['ratio']:.2f}")
    made.add_row(
        "trial in an SQLite file",
        f"{result['seconds_search_sqlite']:.2f}",
        f"{result['ratio_sqlite']:.2f}",
    )
    return made


def _times(data: Digits, seed: int, folder: str) -> list[float]:
    """Seconds of the bare loop, of a trial in memory, and of one in a file; in turning order."""
    drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed)).ask()
    architecture = SPACE(drawn)
    ways: list[Callable[[], float]] = [
        lambda: _bare(data, architecture),
        lambda: _trial(data, drawn.params, InMemoryStorage()),
        lambda: _trial(data, drawn.params, f"sqlite:///{folder}/{seed}.db"),
    ]
    turn = seed % len(ways)
    times = [way() for way in ways[turn:] + ways[:turn]]
    return times[len(ways) - turn :] + times[: len(ways) - turn]


def _trial(data: Digits, params: dict[str, Any], storage: str | BaseStorage) -> float:
    search = Search(
        name="tax",
        space=SPACE,
        data=data,
        objectives=[Accuracy(), Parameters()],
        fidelity=Budget(EPOCHS),
        pruner="none",
        threads=1,
    )
    study = search.study(storage)
    study.enqueue_trial(params)
    return _seconds(lambda: search.run(trials=1, storage=study._storage))


def _bare(data: Digits, architecture: Architecture) -> float:
    return _seconds(lambda: _train(Classifier(build(architecture, (1, 8, 8), 10)), data))


def _train(module: Classifier, data: Digits) -> None:
    """Train as a plain loop would: the recipe of `Classifier`, without Lightning."""
    recipe: Any = module.configure_optimizers()
    optimizer, schedule = recipe["optimizer"], recipe["lr_scheduler"]["scheduler"]
    for _ in range(EPOCHS):
        module.network.train()
        for x, y in data.train_dataloader():
            optimizer.zero_grad()
            torch.autograd.backward(cross_entropy(module.network(x), y))
            optimizer.step()
            schedule.step()
        module.network.eval()
        with torch.no_grad():
            batches = [(module.network(x), y) for x, y in data.val_dataloader()]
            logits, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
            float((logits.argmax(1) == labels).float().mean())
            float(cross_entropy(logits, labels))


def _seconds(work: Callable[[], object]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started
