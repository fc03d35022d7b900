import optuna
import pytest
from optuna.trial import TrialState, create_trial

from optuna_nas.pruners import standings


def left(value, **user_attrs):
    return create_trial(
        state=TrialState.PRUNED,
        system_attrs={"completed_rung_0": value},
        user_attrs=user_attrs,
    )


def everyone(first):
    return 0


def rivals_of(study, trial, bracket=everyone):
    frozen = study._storage.get_trial(trial._trial_id)
    with standings.rivals(study, frozen, 0, bracket) as rung:
        return rung.losses.tolist()


def rivals(study, bracket=everyone):
    return [loss for row in rivals_of(study, study.ask(), bracket) for loss in row]


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
    points = rivals_of(study, running)
    assert sorted(points)[:2] == [[-99.0, 0.0], [-98.0, 0.0]]
    assert len(points) == 99 and [-7.0, 0.0] not in points
    points = rivals_of(study, study.ask())
    assert sorted(points)[:2] == [[-500.0, 1.0], [-99.0, 0.0]]
    assert len(points) == 100 and [-7.0, 0.0] not in points


def test_of_two_trials_that_go_on_with_one_the_later_counts():
    study = optuna.create_study()
    study.add_trials([left(1.0), left(2.0)])
    for _ in range(2):
        study.enqueue_trial({}, user_attrs={"continues": 0})
    one, other = study.ask(), study.ask()
    study._storage.set_trial_system_attr(other._trial_id, "completed_rung_0", 4.0)
    study.tell(other, state=TrialState.PRUNED)
    assert sorted(rivals(study)) == [2.0, 4.0]
    study._storage.set_trial_system_attr(one._trial_id, "completed_rung_0", 3.0)
    assert rivals_of(study, one) == [[2.0]]
    assert sorted(rivals(study)) == [2.0, 4.0]


class Counted(list):
    """Trials, and how many of them were looked at."""

    looked = 0

    def __getitem__(self, place):
        self.looked += 1
        return super().__getitem__(place)


@pytest.mark.parametrize("many", [10, 100])
def test_what_was_read_before_is_not_looked_at_again(many):
    study = optuna.create_study()
    dead = study.ask()  # of a worker that was killed
    study.add_trials([left(float(n)) for n in range(many)])
    reader = standings.Standings(everyone, study.directions)
    reader.read(study.trials, own=-1)
    own = study.ask()
    again = Counted(study.trials)
    reader.read(again, own.number)
    assert again.looked <= 3
    assert len(reader.rivals(own.number, "completed_rung_0")) == many
    study._storage.set_trial_system_attr(dead._trial_id, "completed_rung_0", 0.0)
    reader.read(study.trials, own.number)
    assert len(reader.rivals(own.number, "completed_rung_0")) == many + 1


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
