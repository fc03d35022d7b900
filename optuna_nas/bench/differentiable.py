"""Search by gradients against a random sample of trained networks, on cells for the digits.

A sample of random networks is trained; then each way of searching by gradients finds a network,
which is trained in the same study like any other. Where cells are many, searches are compared by
what they find alone: how much of it has no weights. An epoch of a search is one pass over the
training data, half of it for weights and half for the architecture.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import mean
from time import perf_counter
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from rich.table import Table

from optuna_nas.datasets import Digits
from optuna_nas.spaces import NASBench201
from optuna_nas.study import Budget, Search
from optuna_nas.supernet import DARTS, Entropy, Found, SkipStop

__all__ = ["DEEP", "SMOKE", "SPACE", "WAYS", "run", "table"]

SPACE = NASBench201(input_shape=(1, 8, 8), cells=1, channels=8)
DEEP = NASBench201(input_shape=(1, 8, 8), cells=4, channels=4)
"""Twelve cells in a row, through which gradients come the easier the more skips there are."""

LEARNING_RATE = 0.03
"""Of architecture parameters; the published one is for a hundred times as many steps."""

WAYS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "second order": {"order": 2},
    "warmed up": {"warmup": 10},
    "gumbel": {"weighting": "gumbel"},
    "partial channels": {"partial": 2},
    "entropy": {"penalties": (Entropy(0.5),)},
    "stop by skips": {"early_stop": SkipStop(1)},
    "stop by curvature": {"early_stop": "hessian"},
    "l2 and dropout": {"l2": 3e-3, "dropout": 0.5},
}
"""Ways of searching, by name: arguments of a `supernet.DARTS`."""

AGAINST_COLLAPSE = ("plain", "partial channels", *tuple(WAYS)[-3:])
"""Plain search, and the ways that are to keep skips from winning."""

SMOKE: Mapping[str, Any] = {
    "networks": 4,
    "epochs": 1,
    "search_epochs": 2,
    "seeds": 1,
    "ways": ("plain", "gumbel"),
    "deep": ("plain",),
}
"""Arguments of `run` for a run of seconds."""

SHARES = ("skips", "parameter_free")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """What came of a search.

    Args:
        seed: Of the search.
        epochs: Of the search.
        seconds: Of the search.
        skips: Share of skips among the operators found.
        parameter_free: Share of operators without weights: skips, pooling, none.
        stopped: Why it ended early.
        operators: Those found, by edge.
        accuracy: Of the network found, trained from scratch; on validation data.
        better: Share of the sample that is better.
        share_of_epochs: Epochs of the search and of training what it found, over the sample's.
    """

    seed: int
    epochs: int
    seconds: float
    skips: float
    parameter_free: float
    stopped: str
    operators: tuple[str, ...]
    accuracy: float | None = None
    better: float | None = None
    share_of_epochs: float | None = None


def run(
    networks: int = 50,
    epochs: int = 10,
    search_epochs: int = 30,
    seeds: int = 2,
    ways: Sequence[str] = tuple(WAYS),
    deep: Sequence[str] = AGAINST_COLLAPSE,
    deep_seeds: int = 1,
) -> dict[str, Any]:
    """Train the sample, search in each way, and train what was found; on one thread.

    Args:
        networks: Random networks.
        epochs: Of training a network.
        search_epochs: Of a search.
        seeds: Searches in each way.
        ways: Names of `WAYS`, to be compared with the sample.
        deep: Names of `WAYS`, to be tried where cells are many; what they find is not trained.
        deep_seeds: Searches in each way there.
    """
    data = Digits(validation=0.5, batch_size=32)
    search = Search(
        name="differentiable",
        space=SPACE,
        data=data,
        objectives=["accuracy"],
        fidelity=Budget(epochs),
        sampler="random",
        pruner="none",
        trainer={"accelerator": "cpu"},
        threads=1,
        checkpoints=None,
    )
    study = search.run(trials=networks, storage=InMemoryStorage())
    sample = sorted((t.values[0] for t in study.trials if t.values), reverse=True)
    _logger.info(f"sample: {sample}")
    found = {
        name: [
            _trained(search, study, sample, *_search(SPACE, data, name, search_epochs, seed))
            for seed in range(seeds)
        ]
        for name in ways
    }
    return {
        "networks": len(sample),
        "epochs": epochs,
        "best": sample[0],
        "top_decile": sample[max(len(sample) // 10 - 1, 0)],
        "median": sample[len(sample) // 2],
        "ways": {name: list(map(asdict, rows)) for name, rows in found.items()},
        "deep": {
            name: [
                asdict(_search(DEEP, data, name, search_epochs, seed)[0])
                for seed in range(deep_seeds)
            ]
            for name in deep
        },
    }


def table(result: dict[str, Any]) -> Table:
    """The result as a table for the terminal; means over seeds."""
    made = Table(
        title=f"{result['networks']} random networks, {result['epochs']} epochs each",
        caption=(
            f"sample: best {result['best']:.4f}, top decile from {result['top_decile']:.4f}, "
            f"median {result['median']:.4f}"
        ),
    )
    for column in ("", "accuracy", "sample better", "epochs", "skips", "without weights"):
        made.add_column(column, justify="right" if column else "left")
    for name, rows in result["ways"].items():
        shares = (f"{_mean(rows, key):.0%}" for key in ("better", "share_of_epochs", *SHARES))
        made.add_row(name, f"{_mean(rows, 'accuracy'):.4f}", *shares)
    for name, rows in result["deep"].items():
        made.add_row(f"{name}, deep", "", "", "", *(f"{_mean(rows, key):.0%}" for key in SHARES))
    return made


def _mean(rows: Sequence[Mapping[str, Any]], key: str) -> float:
    return float(mean(row[key] for row in rows))


def _search(
    space: NASBench201, data: Digits, name: str, epochs: int, seed: int
) -> tuple[Row, Found]:
    started = perf_counter()
    found = DARTS(
        space=space,
        epochs=epochs,
        learning_rate=LEARNING_RATE,
        seed=seed,
        trainer={"accelerator": "cpu"},
        threads=1,
        **WAYS[name],
    ).fit(data)
    row = Row(
        seed=seed,
        epochs=len(found.epochs),
        seconds=perf_counter() - started,
        skips=found.skips,
        parameter_free=found.parameter_free,
        stopped=found.stopped,
        operators=tuple(found.params.values()),
    )
    _logger.info(f"{name}, {space.cells} cells: {row}")
    return row, found


def _trained(
    search: Search, study: optuna.Study, sample: Sequence[float], row: Row, found: Found
) -> Row:
    """Train what was found from scratch, in the study of the sample."""
    study.enqueue_trial(dict(found.params))
    search.run(trials=1, storage=study._storage)
    accuracy = float(study.trials[-1].values[0])
    _logger.info(f"trained: {accuracy}")
    full = search.budget.max_epochs
    return replace(
        row,
        accuracy=accuracy,
        better=sum(value > accuracy for value in sample) / len(sample),
        share_of_epochs=(row.epochs + full) / (len(sample) * full),
    )
