"""What a front costs with inherited weights, and by training each candidate from scratch.

Both searches are of small CNNs on the digits of scikit-learn, by error and FLOPs, with the same
sampler. What inherited weights find is trained from scratch like all else, and that is counted, as
is the supernet. Costs are seconds of this process on one thread, so that other work on the machine
does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial

from optuna_nas import pareto
from optuna_nas.datasets import Digits
from optuna_nas.finalists import compare, follow_up
from optuna_nas.model import Classifier
from optuna_nas.spaces import CNN
from optuna_nas.study import Budget, Search
from optuna_nas.study.from_scratch import FromScratch
from optuna_nas.supernet import OneShot

__all__ = ["bench_one_shot"]

REFERENCE = (0.5, 8.5)
"""Error (fraction) and decimal logarithm of FLOPs of the reference point."""

Reached = list[tuple[float, float]]
"""Seconds and hypervolume after each trained network."""


def bench_one_shot(
    candidates: int = 400,
    trained: int = 200,
    epochs: int = 18,
    supernet_epochs: int = 60,
    finalists: int = 15,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Run both, and compare what they cost to a front of the same hypervolume.

    Args:
        candidates: Networks with inherited weights.
        trained: Networks trained from scratch, at most.
        epochs: Epochs of a training from scratch.
        supernet_epochs: Epochs of the supernet.
        finalists: Networks, spread along the front by inherited weights, that are trained.
        seed: Of both.
        say: Told how far it is.
    """
    search = Search(
        name="one-shot",
        space=CNN(input_shape=(1, 8, 8), blocks=(1, 5), channels=(8, 16, 32, 64), kernels=(3, 5)),
        data=Digits(validation=0.25, batch_size=64),
        module=partial(Classifier, learning_rate=1e-2, warmup_steps=100),
        objectives=["validation_loss", "flops"],
        constraints=["accuracy"],
        estimator=OneShot(epochs=supernet_epochs),
        threads=1,
        seed=seed,
    )
    storage, budget = InMemoryStorage(), Budget(epochs=epochs)
    began = time.process_time()
    search.run(trials=0, storage=storage)
    supernet = time.process_time() - began
    say(f"supernet: {supernet:.0f} s")
    study = search.run(trials=candidates, storage=storage)
    scored = time.process_time() - began
    say(f"{candidates} networks scored: {scored - supernet:.0f} s")
    following = follow_up(search, study, budget, count=finalists)
    found, reached = _run(following.search, following.search.trials, storage, say)
    total = scored + reached[-1][0]
    say(f"{len(reached)} finalists trained: {reached[-1][0]:.0f} s")
    plain = replace(
        search, name="scratch", fidelity=budget, pruner="none", estimator=FromScratch()
    )
    _, other = _run(plain, trained, storage, say)
    target = reached[-1][1]
    seconds = next((s for s, volume in other if volume >= target), None)
    agreed = {c.objective: c.spearman for c in compare(study, found).correlations}
    return {
        "candidates": candidates,
        "seconds_supernet": supernet,
        "seconds_scoring": scored - supernet,
        "networks_trained": len(reached),
        "seconds_training": reached[-1][0],
        "seconds_one_shot": total,
        "hypervolume_one_shot": target,
        "hypervolume_from_scratch": other[-1][1],
        "networks_from_scratch": len(other),
        "seconds_from_scratch": other[-1][0],
        "seconds_from_scratch_to_equal": seconds,
        "ratio": (other[-1][0] if seconds is None else seconds) / total,
        "ratio_is_at_least": seconds is None,
        "spearman_on_the_front": agreed,
    }


def _run(
    search: Search, trials: int, storage: InMemoryStorage, say: Callable[[str], None]
) -> tuple[optuna.Study, Reached]:
    """Run a search, and note after each trial what it has cost and found."""
    began, reached, points = time.process_time(), Reached(), list[tuple[float, float]]()

    def note(study: optuna.Study, trial: FrozenTrial) -> None:
        if trial.values is not None:
            measured = trial.user_attrs["measurements"]
            error = 1 - measured["accuracy"]["value"]
            points.append((error, float(np.log10(measured["flops"]["value"]))))
        volume = pareto.hypervolume(np.array(points), REFERENCE)
        reached.append((time.process_time() - began, volume))
        say(f"{study.study_name} {len(reached)}/{trials}: {reached[-1][0]:.0f} s, {volume:.4f}")

    return search.run(trials=trials, storage=storage, callbacks=[note]), reached
