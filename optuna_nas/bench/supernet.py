"""How a supernet ranks networks that were never trained alone, against training each of them.

A supernet is trained once. Networks drawn at random are scored with the weights that they inherit,
batch norm recalibrated, and then trained from scratch by the same recipe, several times where that
is cheap. Rank correlations are between what is known without training a network and its validation
accuracy after training, the mean over its trainings: of the inherited loss (`spearman`, `kendall`,
positive where a lower loss means a higher accuracy), of the inherited accuracy, and of what costs
nothing at all, the numbers of parameters and of FLOPs. `over_parameters` and `over_flops` are how
much further `spearman` is from 0 than theirs. Intervals are 95 % of bootstrap samples of the
networks. `spearman_trainings`, between trainings that differ in their seeds alone, says how much
of the order is noise.

What a network costs beside being trained is in `subnets.py`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.callbacks import LambdaCallback
from rich.console import Console
from rich.progress import Progress

from optuna_nas.architecture import Architecture
from optuna_nas.bench.correlations import correlations
from optuna_nas.bench.kept import Lines
from optuna_nas.bench.processes import processes
from optuna_nas.bench.ranked import figure, table
from optuna_nas.bench.subnets import costs
from optuna_nas.bench.trainings import (
    FORMS,
    Form,
    about_alone,
    fit,
    quietly,
    train_alone,
)
from optuna_nas.datasets import ArrayDataModule
from optuna_nas.exceptions import DescriptionError
from optuna_nas.measuring.device import fingerprint, versions
from optuna_nas.objectives import Candidate, FLOPs, Parameters
from optuna_nas.spaces.draws import random_trials
from optuna_nas.supernet import DRAWINGS, Paths, SharedWeights, Supernet, score

__all__ = ["FORMS", "Form", "figure", "run", "table"]

FEWEST = 20
"""Networks at least: of fewer, a rank correlation says next to nothing."""


def run(
    form: Form, networks: int = 30, seed: int = 0, jobs: int = 2, output: Path | None = None
) -> dict[str, Any]:
    """Train a supernet and networks alone, and compare.

    Args:
        form: What is compared.
        networks: Networks drawn at random, no two alike.
        seed: Of the draw, of the supernet and of the first training of each network.
        jobs: Processes that train networks alone, a thread each; 1 for none but this.
        output: File for the result as JSON. Until it is written, networks that were trained are
            kept beside it, and not trained again when the same comparison is run again.

    Returns:
        What `correlations` returns, `networks` (for each what it is, its size, what it inherits
        and what it learned), `subnets` (their number), `epochs_supernet`, `epochs_standalone`,
        `trainings`, `seconds_supernet`, `seconds_standalone` (of one training, mean),
        `seconds_per_subnet` (of scoring, mean), `costs` as of `subnets.costs`, `seed`, `date`,
        `machine` and `versions`.

    Raises:
        DescriptionError: Fewer than 20 networks, the output is there already, or what is kept of
            it is of another comparison.
        DataError: There is no data.
    """
    if networks < FEWEST:
        raise DescriptionError(
            f"expected at least {FEWEST} networks, of fewer a rank correlation says next to "
            f"nothing, got {networks}"
        )
    data = form.data()
    data.setup("fit")
    kept = Lines(output, {**about_alone(form, data), "seed": seed, "networks": networks})
    drawn = _drawn(form, data, networks, seed)
    with quietly(), Progress(console=Console(stderr=True)) as progress:
        trained = _all_alone(form, drawn, seed, jobs, kept, progress)
        store, seconds = _supernet(form, data, seed, progress)
        rows = _scored(store, data, drawn, progress)
        cost = costs(store, data, drawn)
    rows = [{**row, **trained[number]} for number, row in enumerate(rows)]
    result = {
        **correlations(rows, seed),
        "subnets": networks,
        "epochs_supernet": form.epochs_supernet,
        "epochs_standalone": form.epochs_standalone,
        "trainings": form.trainings,
        "drawing": form.drawing,
        "paths": form.paths,
        "seconds_supernet": round(seconds, 1),
        "seconds_standalone": _mean(rows, "seconds_training"),
        "seconds_per_subnet": _mean(rows, "seconds_scoring"),
        "costs": cost,
        "networks": rows,
        "seed": seed,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": fingerprint("cpu"),
        "versions": versions(),
    }
    kept.finish(result)
    return result


def _drawn(form: Form, data: ArrayDataModule, count: int, seed: int) -> list[Architecture]:
    """Random networks, no two alike."""
    drawn: dict[str, Architecture] = {}
    for architecture in map(form.space, random_trials(seed)):
        if _flops(architecture, data) <= form.most_flops:
            drawn.setdefault(architecture.digest, architecture)
        if len(drawn) == count:
            break
    return list(drawn.values())


def _flops(architecture: Architecture, data: ArrayDataModule) -> float:
    return FLOPs()(Candidate(architecture, data.input_shape, data.outputs)).value


def _supernet(
    form: Form, data: ArrayDataModule, seed: int, progress: Progress
) -> tuple[SharedWeights, float]:
    """A trained supernet, and the seconds that took."""
    began = time.perf_counter()
    store = SharedWeights(form.space, data.input_shape, data.outputs, seed)
    supernet = Supernet(store)
    shown = progress.add_task("supernet, epochs", total=form.epochs_supernet)
    told = LambdaCallback(on_train_epoch_end=lambda *_: progress.advance(shown))
    caps = [FLOPs(max=form.most_flops)] if math.isfinite(form.most_flops) else []
    paths = Paths(supernet, DRAWINGS[form.drawing](), form.paths, seed, caps=caps)
    fit(form.recipe, supernet, data, form.epochs_supernet, seed, [paths, told])
    return store, time.perf_counter() - began


def _scored(
    store: SharedWeights, data: ArrayDataModule, drawn: Sequence[Architecture], progress: Progress
) -> list[dict[str, Any]]:
    """What is known of each network without training it."""
    rows = []
    for architecture in progress.track(drawn, description="networks scored"):
        began = time.perf_counter()
        scored = score(store, architecture, data.train_dataloader(), data.val_dataloader())
        seconds = time.perf_counter() - began
        candidate = Candidate(architecture, data.input_shape, data.outputs)
        rows.append(
            {
                "network": architecture.describe(),
                "parameters": Parameters()(candidate).value,
                "flops": _flops(architecture, data),
                "inherited_loss": scored["loss"],
                "inherited_accuracy": scored["accuracy"],
                "seconds_scoring": seconds,
            }
        )
    return rows


def _all_alone(
    form: Form,
    drawn: Sequence[Architecture],
    seed: int,
    jobs: int,
    kept: Lines,
    progress: Progress,
) -> dict[int, dict[str, Any]]:
    """Number of each network -> what training it alone gave."""
    trained = {number: one for number, one in kept.lines}
    shown = progress.add_task("networks trained alone", total=len(drawn), completed=len(trained))
    left = {number: one for number, one in enumerate(drawn) if number not in trained}
    for number, one in _done(form, left, seed, jobs):
        trained[number] = one
        kept.add([number, one])
        progress.advance(shown)
    return trained


def _done(
    form: Form, left: Mapping[int, Architecture], seed: int, jobs: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Networks trained alone, as they are finished."""
    if jobs == 1:
        yield from ((number, train_alone(form, one, seed)) for number, one in left.items())
        return
    with processes(jobs) as pool:
        tasks = left.items()
        futures = {pool.submit(train_alone, form, one, seed): number for number, one in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _mean(rows: Sequence[dict[str, Any]], key: str) -> float:
    return float(np.mean([row[key] for row in rows]))
