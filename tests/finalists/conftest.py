"""A small search of tiny networks, done once, and what tests of finalists share."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import optuna
import pytest

import optuna_nas as nas
from optuna_nas.finalists import Finals, Retraining, choose_finalists, run_finals

RECIPE = Retraining(epochs=2, seeds=2)


def describe_search(**changes: object) -> nas.Search:
    arguments = {
        "name": "small",
        "space": nas.spaces.CNN(input_shape=(1, 8, 8), blocks=(1, 2), channels=(8, 16)),
        "data": nas.datasets.Digits(validation=0.25, batch_size=128),
        "module": partial(nas.model.Classifier, learning_rate=1e-2, warmup_steps=5),
        "objectives": ["accuracy", "parameters"],
        "fidelity": nas.Budget(epochs=(1, 2)),
        "threads": 1,
    }
    return nas.Search(**(arguments | changes))


@pytest.fixture
def search() -> nas.Search:
    return describe_search()


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search that was run once."""
    folder = tmp_path_factory.mktemp("searched")
    describe_search().run(trials=5, storage=f"sqlite:///{folder}/small.db")
    return folder


@pytest.fixture
def study(search: nas.Search, searched: Path, tmp_path: Path) -> optuna.Study:
    """A copy of that search."""
    shutil.copytree(searched, tmp_path, dirs_exist_ok=True)
    return search.study(f"sqlite:///{tmp_path}/small.db")


@pytest.fixture
def finish(search: nas.Search, study: optuna.Study) -> Callable[..., Finals]:
    """Runs the finalists of the study."""

    def run(recipe: Retraining = RECIPE, top: int = 1, **arguments: object) -> Finals:
        chosen = choose_finalists(search, study, top)
        return run_finals(search, study, chosen, recipe, **{"compare": False, **arguments})

    return run
