"""Finalists of a one-shot search go the same way as all others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import optuna_nas as nas
from optuna_nas.exceptions import StudyError
from optuna_nas.finalists import choose_finalists, run_finals
from optuna_nas.reporting.inheritance import correlations
from tests.finalists.conftest import RECIPE, describe_search

pytestmark = pytest.mark.usefixtures("untimed")


@pytest.mark.parametrize("fine_tune", [False, True])
def test_they_are_trained_from_scratch_or_from_what_they_inherited(
    fine_tune: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optuna_nas.finalists.shared.FEWEST", 2)
    monkeypatch.setattr("optuna_nas.finalists.finals.export", lambda *_: ([], []))
    search = describe_search(estimator=nas.supernet.OneShot(epochs=2), fidelity=None)
    study = search.run(trials=6, storage=f"sqlite:///{tmp_path}/small.db")
    recipe = replace(RECIPE, seeds=1, fine_tune=fine_tune)
    chosen = choose_finalists(search, study, 2)
    finals = run_finals(search, study, chosen, recipe, compare=False)
    supernet = study.user_attrs["supernet"]
    for final in finals.finals:
        trial = final.retrained.study.trials[0].user_attrs
        assert trial["outcome"] == "trained"
        told = {"name": "fine-tuned", "weights": supernet["weights"]}
        assert trial.get("estimator") == (told if fine_tune else None)
        assert final.cost["supernet epochs"] == 2
        assert final.tested
    (agreed,) = correlations(study)
    assert (agreed.objective, agreed.against) == ("accuracy", "small@finalists")
    assert agreed.networks == 2


def test_nothing_is_fine_tuned_without_weights_to_inherit(tmp_path: Path) -> None:
    search = describe_search()
    study = search.run(trials=1, storage=f"sqlite:///{tmp_path}/small.db")
    recipe = replace(RECIPE, fine_tune=True)
    with pytest.raises(StudyError, match="to have inherited weights, got one without"):
        run_finals(search, study, choose_finalists(search, study), recipe, compare=False)
