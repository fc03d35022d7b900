"""What it cost to find a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.storages import BaseStorage

from optuna_nas.reporting import totals
from optuna_nas.study.record import SUPERNET, records

__all__ = ["energy", "search_cost"]


def search_cost(storage: BaseStorage, names: Sequence[str]) -> dict[str, Any]:
    """What studies have spent together: empty where there are none.

    Args:
        storage: Where they are.
        names: Their names.

    Returns:
        `trials`, `epochs`, `seconds`; `joules` of those trainings whose device counted them; and
        `supernet epochs` and `supernet seconds` where weights were inherited.
    """
    cost: dict[str, Any] = {}
    for name in names:
        study = optuna.load_study(study_name=name, storage=storage)
        for unit, value in _spent(study).items():
            cost[unit] = round(cost.get(unit, 0) + value, 1)
    return cost


def _spent(study: optuna.Study) -> dict[str, float]:
    spent = totals(study)
    cost = {
        "trials": sum(spent.counts.values()),
        "epochs": spent.epochs,
        "seconds": spent.seconds,
    }
    cost |= energy(study)
    if supernet := study.user_attrs.get(SUPERNET):
        cost |= {f"supernet {unit}": supernet[unit] for unit in ("epochs", "seconds")}
    return cost


def energy(study: optuna.Study) -> dict[str, float]:
    """`joules` of the trainings of a study whose device counted them; empty where none did."""
    counted = [r.joules for r in records(study) if r.joules is not None]
    return {"joules": round(sum(counted), 1)} if counted else {}
