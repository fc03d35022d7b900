"""Transformers for translation: a `.npz` file of N trainings, stopped when they got no better.

| array | what it is |
|---|---|
| `pair`, `task` (N,) | languages, such as `so-en`; only the task `scratch` counts |
| `bpe`, `num_layers`, `embed`, `ff`, `heads`, `lr` (N,) | hyperparameters, NaN where unknown |
| `ppl_curve` (N, T) | perplexity at each checkpoint, NaN after the last |
| `dev_bleu`, `dev_gpu_time` (N,) | BLEU in % and seconds of decoding, NaN where unknown |
| `num_param` (N,) | parameters |

Devices: a pair, such as `so-en`, of which the error is the logarithm of the least perplexity so
far; `so-en-bleu`, of which it is that at the rungs and 100 - BLEU at the end. The other objective
is the time of decoding, which training has to show. A training that stops before a rung pays for
no more. Of equal rows the first counts.

Source: Zhang and Duh 2020, doi:10.1162/tacl_a_00322.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from optuna_nas.bench.branches import encoded
from optuna_nas.bench.tables.arrays import Arrays, logarithm, place, shaped, whole
from optuna_nas.bench.tables.nasbench201 import ladder
from optuna_nas.bench.tabular import Table

__all__ = ["NAMES", "table"]

PARAMETERS = ("bpe", "num_layers", "embed", "ff", "heads", "lr")
NAMES = {
    "pair": "N",
    "task": "N",
    **dict.fromkeys(PARAMETERS, "N"),
    "ppl_curve": "NT",
    "dev_bleu": "N",
    "dev_gpu_time": "N",
    "num_param": "N",
}
BLEU = "-bleu"


def table(arrays: Arrays, device: str, path: Path) -> Table:
    """The table of one pair of languages.

    Raises:
        DataError: The arrays do not fit, or there is no such pair.
    """
    shaped(arrays, NAMES, path)
    rows = _rows(arrays, device)
    perplexity = arrays["ppl_curve"][rows].astype(float)
    checkpoints = np.isfinite(perplexity).sum(axis=1)
    least = np.fmin.accumulate(perplexity, axis=1)
    steps = [*ladder(int(np.median(checkpoints)))[1:-1], int(checkpoints.max())]
    error = logarithm("ppl_curve", least[:, [step - 1 for step in steps]])
    if device.endswith(BLEU):
        error[:, -1] = 100 - whole("dev_bleu", arrays["dev_bleu"][rows])
    seconds = logarithm("dev_gpu_time", arrays["dev_gpu_time"][rows])
    return Table(
        parameters=[encoded(name, arrays[name][rows]) for name in PARAMETERS],
        steps=steps,
        error=error,
        cost=np.repeat(seconds[:, None], len(steps), axis=1),
        spent=np.minimum(steps, checkpoints[:, None]).astype(float),
        resumes=True,
        same=np.arange(len(rows)),
        capacity=whole("num_param", arrays["num_param"][rows]),
        cost_name="seconds",
    )


def _rows(arrays: Arrays, device: str) -> np.ndarray:
    """Rows of a pair of which everything is known, those with equal hyperparameters once."""
    known = arrays["task"] == "scratch"
    for name in (*PARAMETERS, "dev_bleu", "dev_gpu_time", "num_param"):
        known &= np.isfinite(arrays[name].astype(float))
    known &= np.isfinite(arrays["ppl_curve"][:, 0])
    pairs = np.unique(arrays["pair"][known])
    at = place(device, np.array([f"{pair}{way}" for pair in pairs for way in ("", BLEU)]))
    rows = np.flatnonzero(known & (arrays["pair"] == pairs[at // 2]))
    values = np.stack([arrays[name][rows].astype(float) for name in PARAMETERS], axis=1)
    _, first = np.unique(values, axis=0, return_index=True)
    return rows[np.sort(first)]
