"""Time of a Search trial against a bare torch loop that takes the same steps on the digits."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import optuna
import torch
from optuna.storages import BaseStorage, InMemoryStorage
from rich.table import Table
from torch import Tensor
from torch.nn.functional import cross_entropy

from optuna_nas.architecture import Architecture
from optuna_nas.datasets import ArrayDataModule, Digits
from optuna_nas.model import Classifier, build
from optuna_nas.objectives import Accuracy, Parameters
from optuna_nas.spaces import CNN
from optuna_nas.study import Budget, Search
from optuna_nas.study.acceleration import near, precision

__all__ = ["run", "table", "throughput"]

Told = Callable[..., None]

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
        of a trial in memory, and of one that also writes to an SQLite file; where there is a CUDA
        device, also the `throughput` there.
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
    on_gpu = throughput() if torch.cuda.is_available() else {}
    return {
        "networks": networks,
        "epochs": EPOCHS,
        "seconds_bare": median(bare),
        "seconds_search": median(memory),
        "seconds_search_sqlite": median(sqlite),
        "ratio": median(a / b for a, b in zip(memory, bare, strict=True)),
        "ratio_sqlite": median(a / b for a, b in zip(sqlite, bare, strict=True)),
        **on_gpu,
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
    if "throughput_ratio" in result:
        rates = (f"{result[f'images_per_second_{way}']:,.0f}" for way in ("bare", "search"))
        made.caption = (
            "on {}: {} images a second in a bare loop, {} in a trial, {:.2f} of it".format(
                result["device"], *rates, result["throughput_ratio"]
            )
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
        trainer={"accelerator": "cpu"},
        threads=1,
    )
    study = search.study(storage)
    study.enqueue_trial(params)
    return _seconds(lambda: search.run(trials=1, storage=study._storage))


def throughput(
    device: str = "cuda",
    images: int = 20_480,
    batch: int = 256,
    epochs: int = 4,
    networks: int = 3,
) -> dict[str, Any]:
    """Images a second in training, of a Search trial and of a bare loop with the same settings.

    Both train and validate with the precision, the memory format and the data path of a search on
    the device; the first epoch, in which kernels are chosen, does not count. Images are noise,
    (3, 32, 32).

    Args:
        device: `cuda`, or `cpu`.
        images: Images, of which four in five are for training.
        batch: Images in a training batch.
        epochs: Epochs, at least 2.
        networks: Networks, each trained once in each way.
    """
    noise = np.random.default_rng(0).integers(0, 256, (images, 3, 32, 32), dtype=np.uint8)
    data = ArrayDataModule(noise, np.arange(images) % 10, test=0.0, batch_size=batch)
    data.setup("fit")
    counted = (epochs - 1) * len(data.train_dataloader()) * batch
    rates = [
        [counted / _after_first(way) for way in _ways(data, seed, torch.device(device), epochs)]
        for seed in range(networks)
    ]
    bare, search = zip(*rates, strict=True)
    return {
        "device": device,
        "images_per_second_bare": median(bare),
        "images_per_second_search": median(search),
        "throughput_ratio": median(b / a for a, b in zip(bare, search, strict=True)),
    }


def _ways(
    data: ArrayDataModule, seed: int, device: torch.device, epochs: int
) -> list[Callable[[Told], object]]:
    """A bare loop and a trial of one network; each calls what it is given after every epoch."""
    space = CNN(input_shape=(3, 32, 32))
    drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed)).ask()
    module = Classifier(build(space(drawn), (3, 32, 32), 10))
    search = Search(
        name="throughput",
        space=space,
        data=data,
        objectives=[Accuracy(), Parameters()],
        fidelity=Budget(epochs),
        pruner="none",
        trainer={"accelerator": device.type},
    )
    study = search.study(InMemoryStorage())
    study.enqueue_trial(drawn.params)
    return [
        lambda told: _train(module, data, device, epochs, told),
        lambda told: search.run(trials=1, storage=study._storage, on_epoch=told),
    ]


def _after_first(way: Callable[[Told], object]) -> float:
    """Seconds from the end of the first epoch to that of the last."""
    ends: list[float] = []
    way(lambda *_: ends.append(perf_counter()))
    return ends[-1] - ends[0]


def _bare(data: Digits, architecture: Architecture) -> float:
    module = Classifier(build(architecture, (1, 8, 8), 10))
    return _seconds(lambda: _train(module, data, torch.device("cpu"), EPOCHS))


def _train(
    module: Classifier,
    data: ArrayDataModule,
    device: torch.device,
    epochs: int,
    told: Told = lambda *_: None,
) -> None:
    """Train as a plain loop would: the recipe of `Classifier`, without Lightning."""
    module.to(device, memory_format=torch.channels_last)
    recipe: Any = module.configure_optimizers()
    optimizer, schedule = recipe["optimizer"], recipe["lr_scheduler"]["scheduler"]
    training, validation = near(data.train_dataloader, device), near(data.val_dataloader, device)
    mixed = precision({"accelerator": device.type}) == "bf16-mixed"
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=mixed)
    for epoch in range(epochs):
        module.network.train()
        training.sampler.set_epoch(epoch)
        for x, y in _moved(training, device):
            optimizer.zero_grad()
            with autocast:
                loss = cross_entropy(module.network(x), y)
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
        module.network.eval()
        with torch.no_grad(), autocast:
            batches = [(module.network(x), y) for x, y in _moved(validation, device)]
            logits, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
            float((logits.argmax(1) == labels).float().mean())
            float(cross_entropy(logits, labels))
        told()


def _moved(loader: Any, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    return ((x.to(device, non_blocking=True), y.to(device, non_blocking=True)) for x, y in loader)


def _seconds(work: Callable[[], object]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started
