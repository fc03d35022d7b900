"""What a network of a supernet costs beside training: time to make it, to score it, memory.

Ratios and times are medians over networks, each the least of rounds in which the two sides are
timed in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from statistics import median
from time import perf_counter
from typing import Any

from torch import nn

from optuna_nas.architecture import Architecture
from optuna_nas.datasets import ArrayDataModule
from optuna_nas.model import build
from optuna_nas.samplers.virtual import draw
from optuna_nas.supernet import SharedWeights, evaluate, recalibrate, score

__all__ = ["costs"]

BATCHES = 8
"""Training batches on which batch norm is computed anew."""


def costs(
    store: SharedWeights,
    data: ArrayDataModule,
    drawn: Sequence[Architecture],
    networks: int = 10,
    rounds: int = 3,
) -> dict[str, float]:
    """Cost of networks with inherited weights.

    Args:
        store: The weights.
        data: Data on which networks are scored.
        drawn: Networks, of which the first are timed.
        networks: How many of them.
        rounds: Rounds.

    Returns:
        `scoring_ratio`: time to score a network, against the same recalibration and evaluation of
        the same network that was built before; `milliseconds_network`: time to make a network and
        all its slices, for each of `drawn` once, as a search would; `memory_ratio`: numbers in the
        store over those in the network of the space with the most parameters.
    """
    batches = list(islice(data.train_dataloader(), BATCHES)), list(data.val_dataloader())
    timed = [_ratio(store, architecture, batches, rounds) for architecture in drawn[:networks]]
    fresh = SharedWeights(store.extent.space, store.extent.input_shape, store.extent.outputs)
    made = [_seconds(partial(_make, fresh, architecture)) for architecture in drawn]
    return {
        "scoring_ratio": median(timed),
        "milliseconds_network": 1e3 * median(made),
        "memory_ratio": _memory(store),
    }


def _ratio(
    store: SharedWeights, architecture: Architecture, batches: tuple[Any, Any], rounds: int
) -> float:
    train, validation = batches
    network = store.extract(architecture)

    def alone() -> None:
        recalibrate(network, train)
        evaluate(network, validation)

    def inherited() -> None:
        score(store, architecture, train, validation, BATCHES)

    times = [(_seconds(inherited), _seconds(alone)) for _ in range(rounds)]
    return min(one for one, _ in times) / min(other for _, other in times)


def _make(store: SharedWeights, architecture: Architecture) -> None:
    store.network(architecture).weights()


def _memory(store: SharedWeights) -> float:
    extent = store.extent
    largest = store.draw(draw(extent.space, extent.largest).params)
    return _size(store) / _size(build(largest, extent.input_shape, extent.outputs, "meta"))


def _size(module: nn.Module) -> int:
    return sum(part.numel() for part in (*module.parameters(), *module.buffers()))


def _seconds(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began
