"""Zero-cost proxies in a search: recorded, capped, optimised, and of no influence on training."""

from dataclasses import replace

import numpy as np
import optuna
import pytest
import torch
from optuna.storages import InMemoryStorage

import optuna_nas as nas
from optuna_nas.objectives import NASWOT
from optuna_nas.study.record import records

X = np.random.default_rng(0).normal(size=(120, 6)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("int64")
PROXIES = ("grad_norm", "jacob_cov", "naswot", "snip", "synflow")


def space(trial: optuna.Trial) -> nas.Architecture:
    hidden = ("hidden", "linear", {"features": trial.suggest_int("width", 1, 60)})
    return nas.Architecture.chain([hidden, ("head", "classify", {})])


@pytest.fixture
def search() -> nas.Search:
    return nas.Search(
        name="zero-cost",
        space=space,
        data=nas.datasets.ArrayDataModule(X, Y, batch_size=32),
        objectives=["accuracy"],
        fidelity=nas.Budget(2),
        sampler="random",
        samples=0,
    )


def test_recorded_proxies_leave_the_training_as_it_is(search) -> None:
    plain = search.run(4, InMemoryStorage())
    recorded = replace(search, constraints=PROXIES).run(4, InMemoryStorage())
    assert [t.values for t in plain.trials] == [t.values for t in recorded.trials]
    for record in records(recorded):
        assert set(PROXIES) < set(record.measurements)
        assert record.feasible


def test_a_cap_on_a_proxy_rejects_before_training(search) -> None:
    capped = replace(search, constraints=[NASWOT(min=-200.0)])
    seen = records(capped.run(10, InMemoryStorage()))
    low = [record.measurements["naswot"]["value"] < -200 for record in seen]
    assert any(low) and not all(low)
    for record, is_low in zip(seen, low, strict=True):
        assert record.feasible != is_low
        assert not (is_low and record.epochs)


def test_a_proxy_is_an_objective_that_needs_no_training(search) -> None:
    study = replace(search, objectives=["synflow", "parameters"]).run(6, InMemoryStorage())
    assert all(record.epochs == 0 for record in records(study))
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]


class Split(nas.datasets.ArrayDataModule):
    """Splits anew at every setup, by whatever random numbers there are."""

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self.order = torch.randperm(len(self._data("train")))
        self.seen.append(self.order[:3].tolist())

    seen: list[list[int]] = []


def test_proxies_see_the_split_that_training_sees(search) -> None:
    Split.seen.clear()
    data = Split(X, Y, batch_size=32)
    replace(search, data=data, constraints=["naswot"], seed=3).run(2, InMemoryStorage())
    assert len(Split.seen) >= 4
    assert all(order == Split.seen[0] for order in Split.seen)
