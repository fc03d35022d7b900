"""Time of a Search trial against a bare torch loop that takes the same steps on the digits."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from time import perf_counter
from typing import Any

import optuna
import torch
from rich.table import Table
from torch.nn.functional import cross_entropy

from optuna_nas.datasets import Digits
from optuna_nas.model import Classifier, build
from optuna_nas.objectives import Accuracy, Parameters
from optuna_nas.spaces import CNN
from optuna_nas.study import Budget, Search

__all__ = ["run", "table"]

EPOCHS = 12
SPACE = CNN(input_shape=(1, 8, 8), blocks=(3, 5), channels=(8, 16, 32, 64), kernels=(3, 5))


def run(repeats: int = 7) -> dict[str, Any]:
    """Time whole trials and bare loops in turn, for the same drawn networks.

    A trial draws, identifies, builds, counts parameters, trains, validates each epoch and leaves
    its record in an in-memory storage. Latency is not measured: that is no training.

    Args:
        repeats: Networks, each trained once in each way.

    Returns:
        Median seconds of both ways, and the median over networks of their ratio.
    """
    data = Digits()
    data.prepare_data()
    data.setup("fit")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pairs = [(_trial(data, seed), _bare(data, seed)) for seed in range(-1, repeats)][1:]
    return {
        "epochs": EPOCHS,
        "networks": repeats,
        "seconds_search": statistics.median(ours for ours, _ in pairs),
        "seconds_bare": statistics.median(bare for _, bare in pairs),
        "ratio": statistics.median(ours / bare for ours, bare in pairs),
    }


def table(result: dict[str, Any]) -> Table:
    """The result as a table for the terminal."""
    made = Table(title=f"{result['networks']} networks, {result['epochs']} epochs of the digits")
    for column in ("Search trial (s)", "bare torch loop (s)", "ratio"):
        made.add_column(column, justify="right")
    made.add_row(
        f"{result['seconds_search']:.2f}",
        f"{result['seconds_bare']:.2f}",
        f"{result['ratio']:.2f}",
    )
    return made


def _trial(data: Digits, seed: int) -> float:
    search = Search(
        name=f"tax-{seed}",
        space=SPACE,
        data=data,
        objectives=[Accuracy(), Parameters()],
        fidelity=Budget(EPOCHS),
        sampler="random",
        pruner="none",
        seed=abs(seed),
    )
    study = search.study("sqlite:///:memory:")
    return _seconds(lambda: study.optimize(search.objective, n_trials=1))


def _bare(data: Digits, seed: int) -> float:
    architecture = SPACE(
        optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=abs(seed))).ask()
    )
    return _seconds(lambda: _train(Classifier(build(architecture, (1, 8, 8), 10)), data))


def _train(module: Classifier, data: Digits) -> None:
    """Train as a plain loop would: the recipe of `Classifier`, without Lightning."""
    optimiser = torch.optim.AdamW(
        module.parameters(), module.learning_rate, weight_decay=module.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / 50, ((step + 1) / 50) ** -0.5)
    )
    for _ in range(EPOCHS):
        module.network.train()
        for x, y in data.train_dataloader():
            optimiser.zero_grad()
            cross_entropy(module.network(x), y).backward()
            optimiser.step()
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
