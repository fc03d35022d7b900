"""Search by gradients against a random sample of trained networks, on cells for the digits.

A sample of random networks is trained, each several times with other seeds; then each way of
searching by gradients finds a network, which is trained in the same studies like any other. What
counts are means over trainings; how far two trainings agree says how much of a rank is chance.
Where cells are many, searches are compared by what they find alone: how much of it has no weights.
An epoch of a search is one pass over the training data, half of it for weights and half for the
architecture.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import mean, median
from time import perf_counter
from typing import Any

from optuna.storages import InMemoryStorage
from rich.table import Table
from scipy.stats import spearmanr

from optuna_nas.datasets import Digits
from optuna_nas.model import Classifier
from optuna_nas.spaces import NASBench201
from optuna_nas.study import Budget, Search
from optuna_nas.supernet import DARTS, Entropy, Found, SkipStop

__all__ = ["DEEP", "SMOKE", "SPACE", "WAYS", "run", "table"]

SPACE = NASBench201(input_shape=(1, 8, 8), cells=1, channels=16, stages=1)
"""One cell: with more stages, stem and reductions see so much that cells hardly differ."""
DEEP = NASBench201(input_shape=(1, 8, 8), cells=4, channels=4)
"""Twelve cells in a row, through which gradients come the easier the more skips there are."""

LEARNING_RATE = 0.03
"""Of architecture parameters; the published one is for a hundred times as many steps."""

RECIPE = partial(Classifier, learning_rate=0.01, schedule="cosine")
"""Of networks, and of the weights in a search on `SPACE`."""

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
    "perturbation": {"selection": "perturbation"},
}
"""Ways of searching, by name: arguments of a `supernet.DARTS`."""

RECOMMENDED = "perturbation"
"""The way chosen by searches with other seeds than the benchmark's."""

COMPARED = ("plain", RECOMMENDED)

AGAINST_COLLAPSE = (
    "plain",
    "partial channels",
    "stop by skips",
    "stop by curvature",
    "l2 and dropout",
)
"""Plain search, and the ways that are to keep skips from winning."""

SMOKE: Mapping[str, Any] = {
    "networks": 4,
    "epochs": 1,
    "trainings": 2,
    "search_epochs": 2,
    "seeds": 1,
    "ways": ("plain", "perturbation"),
    "deep": ("plain",),
    "deep_epochs": 2,
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
        accuracy: Of the network found, trained from scratch; on validation data, mean over
            trainings.
        better: Share of the sample that is better.
        share_of_epochs: Epochs of the search and of one training of what it found, over those of
            one training of the sample.
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
    epochs: int = 20,
    trainings: int = 2,
    search_epochs: int = 60,
    seeds: int = 5,
    ways: Sequence[str] = COMPARED,
    deep: Sequence[str] = AGAINST_COLLAPSE,
    deep_seeds: int = 1,
    deep_epochs: int = 30,
) -> dict[str, Any]:
    """Train the sample, search in each way, and train what was found; on one thread.

    Args:
        networks: Random networks.
        epochs: Of training a network.
        trainings: Of each network, at least 2, over which its accuracy is averaged.
        search_epochs: Of a search.
        seeds: Searches in each way.
        ways: Names of `WAYS`, to be compared with the sample.
        deep: Names of `WAYS`, to be tried where cells are many; what they find is not trained.
        deep_seeds: Searches in each way there.
        deep_epochs: Of a search there.
    """
    data = Digits(validation=0.5, batch_size=32)
    studies = Studies(data, epochs, trainings)
    columns = studies.sample(networks)
    sample = sorted(map(mean, zip(*columns, strict=True)), reverse=True)
    _logger.info(f"sample: {sample}")
    found = {
        name: [
            _ranked(studies, sample, *_search(SPACE, data, name, search_epochs, seed, RECIPE))
            for seed in range(seeds)
        ]
        for name in ways
    }
    return {
        "networks": len(sample),
        "epochs": epochs,
        "agreement": _agreement(columns),
        "best": sample[0],
        "top_decile": sample[max(len(sample) // 10 - 1, 0)],
        "median": sample[len(sample) // 2],
        "ways": {name: list(map(asdict, rows)) for name, rows in found.items()},
        "deep": {
            name: [
                asdict(_search(DEEP, data, name, deep_epochs, seed)[0])
                for seed in range(deep_seeds)
            ]
            for name in deep
        },
    }


def table(result: dict[str, Any]) -> Table:
    """The result as a table for the terminal; means over seeds, and the median of ranks."""
    agreement = result["agreement"]
    made = Table(
        title=f"{result['networks']} random networks, {result['epochs']} epochs each",
        caption=(
            f"sample: best {result['best']:.4f}, top decile from {result['top_decile']:.4f}, "
            f"median {result['median']:.4f}; Spearman's correlation of two trainings "
            f"{agreement['all']:.2f}, in the better half {agreement['half']:.2f}"
        ),
    )
    columns = ("", "accuracy", "sample better", "in top decile", "epochs", "skips")
    for column in (*columns, "without weights"):
        made.add_column(column, justify="right" if column else "left")
    for name, rows in result["ways"].items():
        better = f"{median(row['better'] for row in rows):.0%}"
        top = f"{sum(r['accuracy'] >= result['top_decile'] for r in rows)} of {len(rows)}"
        shares = (f"{_mean(rows, key):.0%}" for key in ("share_of_epochs", *SHARES))
        made.add_row(name, f"{_mean(rows, 'accuracy'):.4f}", better, top, *shares)
    for name, rows in result["deep"].items():
        shares = (f"{_mean(rows, key):.0%}" for key in SHARES)
        made.add_row(f"{name}, deep", "", "", "", "", *shares)
    return made


class Studies:
    """Networks trained several times: one study for each seed.

    Args:
        data: The data.
        epochs: Of a training.
        trainings: Of each network.
    """

    def __init__(self, data: Digits, epochs: int, trainings: int) -> None:
        self.epochs = epochs
        self._storages = [InMemoryStorage() for _ in range(trainings)]
        self._searches = [
            Search(
                name="differentiable",
                space=SPACE,
                data=data,
                objectives=["accuracy"],
                module=RECIPE,
                fidelity=Budget(epochs),
                sampler="random",
                pruner="none",
                trainer={"accelerator": "cpu"},
                threads=1,
                checkpoints=None,
                seed=seed,
            )
            for seed in range(trainings)
        ]

    def sample(self, networks: int) -> list[list[float]]:
        """Accuracies of random networks, by training."""
        study = self._searches[0].run(trials=networks, storage=self._storages[0])
        trained = [trial for trial in study.trials if trial.values]
        first = [float(trial.values[0]) for trial in trained]
        params = [trial.params for trial in trained]
        others = range(1, len(self._searches))
        return [first, *(self._accuracies(number, params) for number in others)]

    def accuracy(self, params: Mapping[str, Any]) -> float:
        """Of one network; mean over trainings."""
        return mean(self._accuracies(n, [params])[0] for n in range(len(self._searches)))

    def _accuracies(self, number: int, params: Sequence[Mapping[str, Any]]) -> list[float]:
        search, storage = self._searches[number], self._storages[number]
        study = search.study(storage)
        for values in params:
            study.enqueue_trial(dict(values))
        trials = search.run(trials=len(params), storage=storage).trials[-len(params) :]
        return [float(trial.values[0]) for trial in trials]


def _agreement(columns: Sequence[Sequence[float]]) -> dict[str, float]:
    """Spearman's correlation of the first two trainings: of all networks, and the better half."""
    pairs = sorted(zip(*columns[:2], strict=True), key=mean, reverse=True)
    return {"all": _correlation(pairs), "half": _correlation(pairs[: len(pairs) // 2])}


def _correlation(pairs: Sequence[Sequence[float]]) -> float:
    """Spearman's; 0 where either is constant, as it may be in a sample of a few."""
    first, second = zip(*pairs, strict=True)
    if len({*first}) == 1 or len({*second}) == 1:
        return 0.0
    return float(spearmanr(first, second).statistic)


def _mean(rows: Sequence[Mapping[str, Any]], key: str) -> float:
    return float(mean(row[key] for row in rows))


def _search(
    space: NASBench201,
    data: Digits,
    name: str,
    epochs: int,
    seed: int,
    recipe: Callable[..., Classifier] = Classifier,
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
    ).fit(data, recipe)
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


def _ranked(studies: Studies, sample: Sequence[float], row: Row, found: Found) -> Row:
    """Train what was found from scratch, and see where it stands in the sample."""
    accuracy = studies.accuracy(found.params)
    _logger.info(f"trained: {accuracy}")
    return replace(
        row,
        accuracy=accuracy,
        better=sum(value > accuracy for value in sample) / len(sample),
        share_of_epochs=(row.epochs + studies.epochs) / (len(sample) * studies.epochs),
    )
