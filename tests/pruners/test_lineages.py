import optuna
from optuna.trial import TrialState, create_trial

from optuna_nas.pruners.lineages import Lineages


def left(value, **user_attrs):
    return create_trial(
        state=TrialState.PRUNED,
        system_attrs={"completed_rung_0": value},
        user_attrs=user_attrs,
    )


def rivals(study, competes=lambda root: True):
    trial = study._storage.get_trial(study.ask()._trial_id)
    return Lineages(study).rivals(trial, 0, competes)


def test_trials_that_finish_later_are_read_too():
    study = optuna.create_study()
    study.add_trial(left(1.0))
    running = study.ask()
    study.add_trial(left(2.0))
    assert rivals(study) == [1.0, 2.0]
    study._storage.set_trial_system_attr(running._trial_id, "completed_rung_0", 3.0)
    assert sorted(rivals(study)) == [1.0, 2.0, 3.0]
    study.tell(running, state=TrialState.PRUNED)
    study.add_trial(left(4.0))
    assert sorted(rivals(study)) == [1.0, 2.0, 3.0, 4.0]


def test_a_lineage_counts_once_with_its_latest_value_and_competes_by_its_first_trial():
    study = optuna.create_study()
    study.add_trials([left(1.0), left(2.0), left(3.0, continues=0), left(4.0, continues=2)])
    assert sorted(rivals(study)) == [2.0, 4.0]
    assert rivals(study, competes=lambda root: root == 0) == [4.0]


def test_a_deleted_study_is_forgotten_even_where_its_id_is_used_again(tmp_path):
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")
    ids = []
    for value in (1.0, 2.0):
        study = optuna.create_study(storage=storage, study_name="same")
        study.add_trials([left(value), left(value)])
        ids.append(study._study_id)
        assert rivals(study) == [value, value]
        optuna.delete_study(study_name="same", storage=storage)
    assert ids[0] == ids[1]
