import optuna
import pytest

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError
from optuna_nas.pruners import FreezeThaw
from optuna_nas.pruners.freeze_thaw import THROUGH


@pytest.mark.parametrize("directions", [["minimize"], ["minimize", "minimize"]])
def test_a_network_is_paused_once_at_each_rung(directions):
    study = optuna.create_study(directions=directions, pruner=FreezeThaw([2, 5]))
    names = ["error", "cost"][: len(directions)]

    def paused(continues=None):
        trial = study.ask()
        if continues is not None:
            trial.set_user_attr("continues", continues)
        ended = None
        for epoch in range(1, 10):
            nas.report(trial, epoch, dict.fromkeys(names, 1 / epoch))
            if nas.should_prune(trial):
                ended = epoch
                break
        state = optuna.trial.TrialState.PRUNED if ended else optuna.trial.TrialState.COMPLETE
        study.tell(trial, None if ended else [0.1] * len(names), state)
        return ended

    assert paused() == 2
    assert paused() == 2
    assert paused(continues=0) == 5
    assert paused(continues=2) is None


def test_steps_passed_between_two_reports_count():
    study = optuna.create_study(directions=["minimize"] * 2, pruner=FreezeThaw([2, 5]))
    trial = study.ask()
    nas.report(trial, 6, {"error": 1.0, "cost": 1.0})
    assert nas.should_prune(trial)
    again = study.ask()
    again.set_user_attr("continues", 0)
    nas.report(again, 7, {"error": 1.0, "cost": 1.0})
    assert not nas.should_prune(again)


def test_a_trial_that_goes_through_is_not_paused_but_its_rungs_are_kept():
    study = optuna.create_study(directions=["minimize"] * 2, pruner=FreezeThaw([2, 5]))
    trial = study.ask()
    study._storage.set_trial_system_attr(trial._trial_id, THROUGH, True)
    for epoch in range(1, 10):
        nas.report(trial, epoch, {"error": 1 / epoch, "cost": 1.0})
        assert not nas.should_prune(trial)
    assert study.trials[0].system_attrs["completed_rung_1"] == [1 / 5, 1.0]


def test_the_end_is_not_before_the_last_rung():
    assert FreezeThaw([2, 5], end=9).end == 9
    with pytest.raises(DescriptionError, match="end"):
        FreezeThaw([2, 5], end=4)


@pytest.mark.parametrize("steps", [[], [0], [3, 3], [5, 2], [1.5]])
def test_steps_must_rise(steps):
    with pytest.raises(DescriptionError, match="expected"):
        FreezeThaw(steps)


def test_a_search_refuses_it_without_a_sampler_that_thaws():
    with pytest.raises(DescriptionError, match="sampler='predictor'"):
        nas.Search(
            name="frozen",
            space=nas.spaces.MLP(),
            data=nas.datasets.Digits(),
            objectives=["accuracy", "parameters"],
            pruner="freeze-thaw",
        )
