"""Rank correlations of what is known before training with what training gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

__all__ = ["correlations", "kendall", "spearman"]

Values = NDArray[np.float64]

SAMPLES = 2000
"""Bootstrap samples of the networks."""


def correlations(rows: Sequence[Mapping[str, Any]], seed: int = 0) -> dict[str, Any]:
    """Rank correlations with the validation accuracy after training, with 95 % intervals.

    Args:
        rows: For each network `inherited_loss`, `inherited_accuracy`, `parameters`, `flops`, and
            `accuracies`, those of its trainings.
        seed: Of the bootstrap.

    Returns:
        `spearman` and `kendall` of the inherited loss, its sign turned; `spearman_accuracy`,
        `spearman_parameters` and `spearman_flops`; `over_parameters` and `over_flops`, how much
        further from 0 `spearman` is; `intervals`, low and high of each; and `spearman_trainings`,
        the mean over pairs of trainings of all networks, None where each was trained once.
    """
    columns = {name: np.array([float(row[name]) for row in rows]) for name in KNOWN}
    accuracies = np.array([row["accuracies"] for row in rows], dtype=float)
    columns["trained"] = accuracies.mean(1)
    found = _all(columns)
    rng = np.random.default_rng(seed)
    draws = (rng.integers(len(rows), size=len(rows)) for _ in range(SAMPLES))
    samples = [_all({name: column[draw] for name, column in columns.items()}) for draw in draws]
    return {
        **found,
        "intervals": {name: _interval([sample[name] for sample in samples]) for name in found},
        "spearman_trainings": _between(accuracies),
    }


KNOWN = ("inherited_loss", "inherited_accuracy", "parameters", "flops")


def spearman(known: Values, trained: Values) -> float:
    """Spearman's rank correlation; 0 where either does not vary."""
    return _or_zero(spearmanr, known, trained)


def kendall(known: Values, trained: Values) -> float:
    """Kendall's rank correlation, tau-b; 0 where either does not vary."""
    return _or_zero(kendalltau, known, trained)


def _all(columns: Mapping[str, Values]) -> dict[str, float]:
    trained = columns["trained"]
    found = {
        "spearman": spearman(-columns["inherited_loss"], trained),
        "kendall": kendall(-columns["inherited_loss"], trained),
        "spearman_accuracy": spearman(columns["inherited_accuracy"], trained),
        "spearman_parameters": spearman(columns["parameters"], trained),
        "spearman_flops": spearman(columns["flops"], trained),
    }
    for name in ("parameters", "flops"):
        found[f"over_{name}"] = found["spearman"] - abs(found[f"spearman_{name}"])
    return found


def _between(accuracies: Values) -> float | None:
    """Mean Spearman of pairs of trainings, (networks, trainings)."""
    pairs = [spearman(one, other) for one, other in combinations(accuracies.T, 2)]
    return float(np.mean(pairs)) if pairs else None


def _interval(values: Sequence[float]) -> list[float]:
    return [float(end) for end in np.percentile(values, (2.5, 97.5))]


def _or_zero(correlation: Callable[[Values, Values], Any], one: Values, other: Values) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(correlation(one, other).statistic)
