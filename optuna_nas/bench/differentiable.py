"""Search by gradients against a random sample of trained networks, on cells for the digits.

A sample of random networks is trained; then each way of searching by gradients finds a network,
which is trained in the same study like any other. An epoch of a search is one pass over the
training data, half of it for weights and half for the architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from rich.table import Table

from optuna_nas.datasets import Digits
from optuna_nas.spaces import NASBench201
from optuna_nas.study import Budget, Search
from optuna_nas.supernet import DARTS, Entropy, Found

__all__ = ["SMOKE", "WAYS", "run", "table"]

SPACE = NASBench201(input_shape=(1, 8, 8), cells=1, channels=8)
LEARNING_RATE = 0.03
"""Of architecture parameters; the published one is for a hundred times as many steps."""

WAYS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "second order": {"order": 2},
    "gumbel": {"weighting": "gumbel"},
    "partial channels": {"partial": 2},
    "stop by skips": {"early_stop": "skips"},
    "stop by curvature": {"early_stop": "hessian"},
    "stronger l2": {"l2": 3e-3},
    "dropped skips": {"dropout": 0.5},
    "entropy": {"penalties": (Entropy(0.5),)},
}
"""Ways of searching, by name: arguments of a `supernet.DARTS`."""

SMOKE: Mapping[str, Any] = {
    "networks": 4,
    "epochs": 1,
    "search_epochs": 2,
    "ways": ("plain", "gumbel"),
}
"""Arguments of `run` for a run of seconds."""


@dataclass(frozen=True)
class Row:
    """What came of a way of searching.

    Args:
        accuracy: Of the network found, trained from scratch; on validation data.
        better: Share of the sample that is better.
        top_decile: Whether that is less than a tenth.
        share_of_epochs: Epochs of the search and of training what it found, over the sample's.
        skips: Share of skips among the operators found.
        parameter_free: Share of operators without weights: skips, pooling, none.
        epochs: Of the search.
        stopped: Why it ended early.
        seconds: Of the search.
        operators: Those found, by edge.
    """

    accuracy: float
    better: float
    top_decile: bool
    share_of_epochs: float
    skips: float
    parameter_free: float
    epochs: int
    stopped: str
    seconds: float
    operators: tuple[str, ...]


def run(
    networks: int = 50,
    epochs: int = 20,
    search_epochs: int = 60,
    ways: tuple[str, ...] = tuple(WAYS),
    seed: int = 0,
) -> dict[str, Any]:
    """Train the sample, search in each way, and train what was found; on one thread.

    Args:
        networks: Random networks.
        epochs: Of training a network.
        search_epochs: Of a search.
        ways: Names of `WAYS`.
        seed: Of the sample, and of all training and searching.
    """
    search = Search(
        name="differentiable",
        space=SPACE,
        data=Digits(validation=0.5, batch_size=32),
        objectives=["accuracy"],
        fidelity=Budget(epochs),
        sampler="random",
        pruner="none",
        trainer={"accelerator": "cpu"},
        threads=1,
        checkpoints=None,
        seed=seed,
    )
    storage = InMemoryStorage()
    study = search.run(trials=networks, storage=storage)
    sample = sorted((t.value for t in study.trials if t.value is not None), reverse=True)
    return {
        "networks": len(sample),
        "epochs": epochs,
        "seed": seed,
        "best": sample[0],
        "top_decile": sample[max(len(sample) // 10 - 1, 0)],
        "median": sample[len(sample) // 2],
        "ways": {
            name: asdict(_way(search, study, sample, search_epochs, WAYS[name])) for name in ways
        },
    }


def table(result: dict[str, Any]) -> Table:
    """The result as a table for the terminal."""
    made = Table(
        title=f"{result['networks']} random networks, {result['epochs']} epochs each",
        caption=(
            f"sample: best {result['best']:.4f}, top decile from {result['top_decile']:.4f}, "
            f"median {result['median']:.4f}"
        ),
    )
    columns = "way", "accuracy", "sample better", "epochs", "skips", "weightless", "stopped"
    for column in columns:
        made.add_column(column, justify="left" if column in ("way", "stopped") else "right")
    for name, row in result["ways"].items():
        shares = (f"{row[k]:.0%}" for k in ("share_of_epochs", "skips", "parameter_free"))
        made.add_row(
            name, f"{row['accuracy']:.4f}", f"{row['better']:.0%}", *shares, row["stopped"]
        )
    return made


def _way(
    search: Search,
    study: optuna.Study,
    sample: list[float],
    epochs: int,
    options: Mapping[str, Any],
) -> Row:
    started = perf_counter()
    found = DARTS(
        space=SPACE,
        epochs=epochs,
        learning_rate=LEARNING_RATE,
        seed=search.seed,
        trainer=search.trainer,
        threads=search.threads,
        **options,
    ).fit(search.data)
    seconds = perf_counter() - started
    accuracy = _trained(search, study, found)
    better = sum(value > accuracy for value in sample) / len(sample)
    full = search.fidelity.max_epochs
    return Row(
        accuracy=accuracy,
        better=better,
        top_decile=better < 0.1,
        share_of_epochs=(len(found.epochs) + full) / (len(sample) * full),
        skips=found.skips,
        parameter_free=found.parameter_free,
        epochs=len(found.epochs),
        stopped=found.stopped,
        seconds=seconds,
        operators=tuple(found.params.values()),
    )


def _trained(search: Search, study: optuna.Study, found: Found) -> float:
    """Validation accuracy of the network that was found, trained from scratch."""
    study.enqueue_trial(dict(found.params))
    search.run(trials=1, storage=study._storage)
    return float(study.trials[-1].values[0])
