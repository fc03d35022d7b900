"""A one-shot study and one that trained its networks, as they are in storage."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.trial import create_trial

from optuna_nas.study.record import SUPERNET

NETWORKS = 8


def inherited_study(agreement: int) -> tuple[optuna.Study, optuna.Study]:
    """Both orders agree for 1, and are opposite for -1."""
    study, trained = (optuna.create_study(study_name=name) for name in ("one-shot", "trained"))
    for each in (study, trained):
        each.set_metric_names(["validation_loss"])
    study.set_user_attr(SUPERNET, {"weights": "ab" * 32, "epochs": 30, "seconds": 12.5})
    for number in range(NETWORKS):
        study.add_trial(_trial(number, 1.0 + number, inherited=True))
        trained.add_trial(_trial(number, 0.5 + 0.01 * agreement * number, inherited=False))
    return study, trained


def _trial(number: int, loss: float, inherited: bool) -> optuna.trial.FrozenTrial:
    measured: dict[str, Any] = {"value": loss, "unit": "", "spread": None}
    attrs: dict[str, Any] = {
        "digest": f"{number:064x}",
        "network": f"network {number}",
        "outcome": "scored" if inherited else "trained",
        "ended": "",
        "spent": {"epochs": 0 if inherited else 5, "seconds": 1.0},
        "measurements": {"validation_loss": measured},
    }
    if inherited:
        measured["weights"] = "inherited"
        attrs["estimator"] = {"name": "one-shot", "weights": "ab" * 32}
    return create_trial(value=loss, user_attrs=attrs)
