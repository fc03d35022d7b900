"""Load for the benchmark of latency: a training of ours, or one that knows nothing of us.

    python -m optuna_nas.bench.load own 1

Prints a line once it trains, and goes on until it is killed.
"""

from __future__ import annotations

import sys
from functools import lru_cache

import optuna
import torch
from torch import nn

import optuna_nas as nas

__all__ = ["foreign", "own"]


def own(threads: int) -> None:
    """A worker of a search, which gives way to measurements."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = nas.Search(
        name="load",
        space=nas.spaces.CNN(input_shape=(1, 8, 8)),
        data=nas.datasets.Digits(),
        objectives=[nas.objectives.Accuracy()],
        pruner="none",
        threads=threads,
    )
    storage = optuna.storages.InMemoryStorage()
    search.run(trials=1_000_000, storage=storage, on_epoch=lambda *_: _say_once())


def foreign(threads: int) -> None:
    """A training loop in plain PyTorch."""
    torch.set_num_threads(threads)
    network = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()
    )
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-6)
    images = torch.randn(32, 3, 32, 32)
    while True:
        optimiser.zero_grad()
        network(images).square().mean().backward()
        optimiser.step()
        _say_once()


@lru_cache
def _say_once() -> None:
    print("training", flush=True)


if __name__ == "__main__":
    {"own": own, "foreign": foreign}[sys.argv[1]](int(sys.argv[2]))
