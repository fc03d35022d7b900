"""Trained finalist -> its metrics on a split, by the very recipe that trained it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from lightning.pytorch import LightningDataModule
from optuna.trial import FixedTrial
from torch import nn

from optuna_nas.exceptions import DataError, StudyError
from optuna_nas.finalists.retrained import MEASURED, Retrained
from optuna_nas.finalists.retraining import PARAMETER, once
from optuna_nas.measuring.device import fingerprint
from optuna_nas.objectives import Candidate, Metric
from optuna_nas.study import Search
from optuna_nas.study.record import noted
from optuna_nas.study.training import seeded, validate
from optuna_nas.study.weights import load_weights, weights_path

__all__ = ["candidate", "evaluate", "measure", "validated", "weights_of"]


def candidate(retrained: Retrained, seed: int) -> Candidate:
    """A finalist as one of its trainings left it: drawn, built, and given its weights.

    Args:
        retrained: The finalist.
        seed: Seed of the training.

    Raises:
        StudyError: Its weights are not there any more.
    """
    search = retrained.search
    drawn = seeded(search.space, seed, FixedTrial({PARAMETER: seed}))
    found = Candidate(drawn, search.input_shape, search.outputs, seed=seed, data=search.data)
    path = weights_of(retrained, seed)
    if not path.is_file():
        raise StudyError(
            f"expected the weights of {retrained.finalist.name}, seed {seed}, in {path}, got no "
            "such file; put it back, or train under another label"
        )
    load_weights(found.network, path)
    return found


def weights_of(retrained: Retrained, seed: int) -> Path:
    """The file with the weights of a training."""
    assert retrained.search.weights is not None
    return weights_path(retrained.search.weights, retrained.trainings[str(seed)], seed)


def measure(retrained: Retrained, search: Search, study: optuna.Study) -> Retrained:
    """Measure what depends on the device and not on the training, where it was not yet.

    Args:
        retrained: The finalist, trained once at least.
        search: The search that found it.
        study: Its study, whose calibrations count where it was measured on this device.

    Raises:
        MeasurementError: The device was too busy; what was measured before that is kept.
    """
    here = study.user_attrs.get("device") == fingerprint()
    found = replace(
        candidate(retrained, next(iter(retrained.trained))),
        calibrations=study.user_attrs.get("calibrations", {}) if here else {},
    )
    measured = dict(retrained.measured)
    for objective in search.measured:
        if once(objective) and objective.name not in measured:
            measured[objective.name] = noted(objective, objective(found))
            retrained.study.set_user_attr(MEASURED, measured)
    return replace(retrained, measured=measured)


def evaluate(retrained: Retrained, seed: int) -> dict[str, float]:
    """What a training came to on the test split: trained objective -> value.

    Nothing here says whether the test may be used; `sealed_test` does.

    Args:
        retrained: The finalist.
        seed: Seed of the training.

    Raises:
        DataError: The data has no test split.
    """
    search = retrained.search
    network = candidate(retrained, seed).network
    with _tested(search.data, search.seed):
        return validated(search, network, search.trainer)


def validated(search: Search, network: nn.Module, trainer: Mapping[str, Any]) -> dict[str, float]:
    """What a network comes to on validation data: trained objective that is logged -> value.

    Args:
        search: The search by whose recipe it is validated.
        network: The network, trained.
        trainer: Arguments of the Trainer; callbacks, which are for trainings, are left out.
    """
    own = {name: value for name, value in trainer.items() if name != "callbacks"}
    make, data = search.make_module, search.data
    logged = validate(make, network, data, search.seed, own, search.threads)
    return {o.name: o.logged(logged) for o in search.measured if isinstance(o, Metric)}


@contextmanager
def _tested(data: LightningDataModule, seed: int) -> Iterator[None]:
    """Serve the test split where Lightning asks for validation; sealed again after it."""
    if type(data).test_dataloader is LightningDataModule.test_dataloader:
        raise DataError(
            f"expected data with a test split, got {type(data).__name__} without "
            "test_dataloader; define it, and its split in setup('test')"
        )
    data.prepare_data()
    seeded(data.setup, seed, "test")
    vars(data)["val_dataloader"] = data.test_dataloader
    try:
        yield
    finally:
        del vars(data)["val_dataloader"]
        data.teardown("test")
