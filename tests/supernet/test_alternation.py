"""A supernet and a sampler that are trained in turn, as in ENAS."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import optuna
import pytest
from small import search

from optuna_nas.exceptions import DescriptionError
from optuna_nas.study.record import records
from optuna_nas.supernet import Alternation, OneShot
from optuna_nas.supernet import training as module
from optuna_nas.supernet.alternation import Proposed

TURNS = Alternation(rounds=3, trials=4, epochs=2)


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/s.db"


@pytest.fixture
def shared():
    return search(sampler="reinforce", estimator=OneShot(epochs=3, alternate=TURNS))


def test_all_values_of_the_search_are_those_of_the_last_weights(shared, url, monkeypatch) -> None:
    drawings = []

    def drawn(drawing):
        drawings.append(drawing)
        return was(drawing)

    was = module.drawing_of
    monkeypatch.setattr(module, "drawing_of", drawn)
    study = shared.run(trials=14, storage=url)
    rounds = optuna.load_study(study_name="shared@rounds", storage=url)
    about = study.user_attrs["supernet"]
    assert about["epochs"] == 3 + 3 * 2
    assert {t.user_attrs["estimator"]["weights"] for t in study.trials} == {about["weights"]}
    proposed = [trial.params for trial in rounds.trials]
    assert len(proposed) == 12
    assert [trial.params for trial in study.trials[:12]] == proposed
    first, *turns = drawings
    assert first == "uniform"
    assert [list(turn.networks) for turn in turns] == [proposed[i : i + 4] for i in (0, 4, 8)]
    states = [trial.user_attrs["estimator"]["weights"] for trial in rounds.trials]
    assert [len(set(states[i : i + 4])) for i in (0, 4, 8)] == [1, 1, 1]
    assert len(set(states)) == 3
    assert about["weights"] not in states
    assert all(record.outcome == "scored" for record in records(study)[:12])


def test_begun_again_it_trains_nothing_twice_and_ends_the_same(shared, url, tmp_path) -> None:
    def stop(trial, epoch, values) -> None:
        seen.append(epoch)
        if len(seen) == 6:  # in the second round
            raise KeyboardInterrupt

    seen = []
    with pytest.raises(KeyboardInterrupt):
        shared.run(trials=2, storage=url, on_epoch=stop)
    again = replace(shared).run(trials=2, storage=url, on_epoch=stop)
    assert again.user_attrs["supernet"]["epochs"] == 9
    assert len(seen) == 6 + 9 - 5
    whole = shared.run(trials=2, storage=f"sqlite:///{tmp_path}/other.db")
    weights = [study.user_attrs["supernet"]["weights"] for study in (again, whole)]
    assert weights[0] == weights[1]


def test_it_works_for_those_who_hold_the_loop(shared, url) -> None:
    study = shared.study(url)
    study.optimize(shared.objective, n_trials=1)
    assert study.trials[0].user_attrs["outcome"] == "scored"


def test_networks_of_a_step_are_among_those_proposed() -> None:
    networks = tuple({"width": width} for width in range(5))
    drawing, candidates = Proposed(networks), SimpleNamespace(seed=0)
    seen = [drawing(candidates, step, 3, 0.5) for step in range(40)]
    assert all(len(found) == 3 for found in seen)
    assert {found["width"] for step in seen for found in step} == set(range(5))
    assert seen == [drawing(candidates, step, 3, 0.9) for step in range(40)]


@pytest.mark.parametrize("arguments", [{"rounds": 0}, {"trials": 0}, {"epochs": -1}])
def test_wrong_arguments_are_refused(arguments) -> None:
    with pytest.raises(DescriptionError, match="at least 1"):
        Alternation(**arguments)


def test_its_smoke_form_has_one_short_round(shared) -> None:
    assert shared.as_smoke().estimator.alternate == Alternation(rounds=1, trials=4, epochs=1)
