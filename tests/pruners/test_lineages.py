import optuna
from optuna.trial import TrialState, create_trial

from optuna_nas.pruners.lineages import Lineages


def left(value, **user_attrs):
    return create_trial(
        state=TrialState.PRUNED,
        system_attrs={"completed_rung_0": value},
        user_attrs=user_attrs,
    )


def rivals(study, bracket=lambda first: 0):
    trial = study._storage.get_trial(study.ask()._trial_id)
    return Lineages(study).rivals(trial, 0, bracket).ravel().tolist()


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
    assert rivals(study, bracket=lambda first: first == 1) == [4.0]


def test_a_lineage_that_goes_on_has_its_new_value_alone_and_stays_among_many():
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.add_trials([left([float(n), 0.0]) for n in range(100)])
    assert len(rivals(study)) == 2 * 100
    running = study.ask()
    running.set_user_attr("continues", 7)
    study._storage.set_trial_system_attr(running._trial_id, "completed_rung_0", [500.0, 1.0])
    points = Lineages(study).rivals(study._storage.get_trial(3), 0, lambda first: 0).tolist()
    assert sorted(points)[:2] == [[-500.0, 1.0], [-99.0, 0.0]]
    assert len(points) == 99 and [-7.0, 0.0] not in points and [-3.0, 0.0] not in points


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
