"""What a gain has cost stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import optuna
import pytest

import optuna_nas as nas
from optuna_nas.finalists import Finals, Further
from optuna_nas.finalists.cost import search_cost
from optuna_nas.reporting.finalists import priced, verdict
from optuna_nas.study.record import records
from tests.finalists.conftest import RECIPE, describe_search

pytestmark = pytest.mark.usefixtures("untimed")


def test_the_cost_of_finding_a_network_is_that_of_all_studies_that_it_took(
    finish: Callable[..., Finals], study: optuna.Study
) -> None:
    further = Further(tune=1)
    found = finish(replace(RECIPE, seeds=1), further=further, against_random=True).as_json()
    best, tuned, random = (final["cost"]["search"] for final in found)
    status = nas.reporting.status(study)
    assert best == {"trials": 5, "epochs": status["epochs"], "seconds": status["seconds"]}
    assert best["epochs"] < tuned["epochs"] <= best["epochs"] + 2
    assert tuned["trials"] == 6
    assert random["epochs"] >= best["epochs"]
    assert priced(best) in verdict(study)


class Joule:
    """A counter by which every reading is a joule more."""

    name, step = "fake", 1.0

    def __init__(self, device: str) -> None:
        self._readings = count(1)

    def joules(self) -> float:
        return float(next(self._readings))


def test_energy_is_counted_where_there_is_a_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    search = describe_search()
    storage = optuna.storages.InMemoryStorage()
    study = search.run(trials=1, storage=storage)
    without = search_cost(storage, ["small"])
    assert "joules" not in without and "kJ" not in priced(without)
    monkeypatch.setattr("optuna_nas.study.energy.counter_of", Joule)
    search.run(trials=1, storage=storage)
    joules = records(study)[-1].joules
    assert joules is not None and joules >= 1
    cost = search_cost(storage, ["small"])
    assert cost["joules"] == joules
    assert priced(cost).endswith(" kJ")


def test_a_supernet_belongs_to_the_cost() -> None:
    study = optuna.create_study(study_name="shared", directions=["minimize"])
    study.set_user_attr("supernet", {"weights": "w", "epochs": 10, "seconds": 7.25})
    cost = search_cost(study._storage, ["shared"])
    assert cost["supernet epochs"] == 10
    assert priced(cost) == "0 epochs, 0 s, a supernet of 10 epochs, 7 s"
