"""Rank correlations of what is known before training with what training gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = ["correlations", "kendall", "spearman"]

Values = NDArray[np.float64]

KNOWN = ("inherited_loss", "inherited_accuracy", "parameters", "flops")
"""What is known of a network before it is trained alone."""

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
    accuracies = np.array([row["accuracies"] for row in rows], dtype=float)
    columns = {name: np.array([float(row[name]) for row in rows]) for name in KNOWN}
    columns["trained"] = accuracies.mean(1)
    drawn = np.random.default_rng(seed).integers(len(rows), size=(SAMPLES, len(rows)))
    samples = _all({name: column[drawn] for name, column in columns.items()})
    return {
        **{name: float(value) for name, value in _all(columns).items()},
        "intervals": {name: np.percentile(x, (2.5, 97.5)).tolist() for name, x in samples.items()},
        "spearman_trainings": _between(accuracies),
    }


def spearman(one: Values, other: Values) -> Values:
    """Spearman's rank correlations of the last dimension, (..., N) -> (...).

    0 where either does not vary.
    """
    return _cosine(*(_centred(rankdata(values, axis=-1)) for values in (one, other)))


def kendall(one: Values, other: Values) -> Values:
    """Kendall's rank correlations of the last dimension, tau-b, (..., N) -> (...).

    0 where either does not vary.
    """
    return _cosine(*(_orders(values) for values in (one, other)))


def _all(columns: Mapping[str, Values]) -> dict[str, Values]:
    trained = columns["trained"]
    found = {
        "spearman": spearman(-columns["inherited_loss"], trained),
        "kendall": kendall(-columns["inherited_loss"], trained),
        "spearman_accuracy": spearman(columns["inherited_accuracy"], trained),
        "spearman_parameters": spearman(columns["parameters"], trained),
        "spearman_flops": spearman(columns["flops"], trained),
    }
    for name in ("parameters", "flops"):
        found[f"over_{name}"] = found["spearman"] - np.abs(found[f"spearman_{name}"])
    return found


def _between(accuracies: Values) -> float | None:
    """Mean Spearman of pairs of trainings, (networks, trainings)."""
    pairs = [spearman(one, other) for one, other in combinations(accuracies.T, 2)]
    return float(np.mean(pairs)) if pairs else None


def _centred(values: Values) -> Values:
    centred: Values = values - values.mean(-1, keepdims=True)
    return centred


def _orders(values: Values) -> Values:
    """Which of each two is larger: -1, 0 or 1, (..., N) -> (..., N * N)."""
    signs = np.sign(values[..., :, None] - values[..., None, :])
    return signs.reshape(*values.shape[:-1], -1)


def _cosine(one: Values, other: Values) -> Values:
    scale = np.sqrt((one**2).sum(-1) * (other**2).sum(-1))
    cosine: Values = (one * other).sum(-1) / np.where(scale > 0, scale, 1.0)
    return cosine
