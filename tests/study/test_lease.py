"""Leases: only trials that nobody works on are taken up again, and each of them once."""

import os
import subprocess
import sys
import time

import optuna
import pytest
from optuna.trial import TrialState

from optuna_nas.study import lease


@pytest.fixture
def study(tmp_path) -> optuna.Study:
    return optuna.create_study(
        study_name="leases", storage=f"sqlite:///{tmp_path}/s.db", directions=["minimize"] * 2
    )


def running(study: optuna.Study, **changed) -> optuna.Trial:
    trial = study.ask()
    trial.suggest_int("x", 0, 100)
    study._storage.set_trial_system_attr(
        trial._trial_id, lease.LEASE, {**lease.lease_for(300.0), **changed}
    )
    return trial


def test_a_held_lease_keeps_the_trial(study: optuna.Study) -> None:
    trial = study.ask()
    with lease.hold(trial):
        assert lease.requeue(study) == []
        assert study.trials[0].state == TrialState.RUNNING


def test_a_lease_is_renewed_while_it_is_held(study: optuna.Study) -> None:
    trial = study.ask()
    with lease.hold(trial, seconds=0.04):
        first = study.trials[0].system_attrs[lease.LEASE]["renewed"]
        deadline = time.monotonic() + 30
        while study.trials[0].system_attrs[lease.LEASE]["renewed"] == first:
            assert time.monotonic() < deadline, "the lease was not renewed"


def test_a_trial_of_a_dead_process_is_requeued_with_its_parameters(study: optuna.Study) -> None:
    script = """
import os, sys, optuna
from optuna_nas.study import lease
study = optuna.load_study(study_name="leases", storage=sys.argv[1])
trial = study.ask()
trial.suggest_int("x", 0, 100)
with lease.hold(trial):
    os._exit(9)
"""
    url = str(study._storage._backend.url)
    subprocess.run([sys.executable, "-c", script, url], check=False)
    assert study.trials[0].state == TrialState.RUNNING

    assert lease.requeue(study) == [0]
    lost = study.trials[0]
    assert lost.state == TrialState.FAIL
    assert lost.user_attrs["outcome"] == "lost"
    assert "died" in lost.user_attrs["ended"]

    again = study.ask()
    assert again.user_attrs["continues"] == 0
    assert again.suggest_int("x", 0, 100) == lost.params["x"]
    assert lease.requeue(study) == []


@pytest.fixture
def clocks(monkeypatch) -> dict[str, float]:
    """The monotonic clock of this host, and that which may jump."""
    now = {"monotonic": 1000.0, "time": time.time()}
    for name in now:
        monkeypatch.setattr(lease.time, name, lambda name=name: now[name])
    return now


def test_on_another_host_only_a_lease_that_is_not_renewed_counts(study, clocks) -> None:
    trial = running(study, host="elsewhere", pid=1, renewed=5.0 + clocks["time"])
    assert lease.requeue(study) == []
    clocks["monotonic"] += 299
    assert lease.requeue(study) == []
    renewed = {**lease.lease_for(300.0), "host": "elsewhere", "renewed": clocks["time"] + 6.0}
    study._storage.set_trial_system_attr(trial._trial_id, lease.LEASE, renewed)
    clocks["monotonic"] += 299
    assert lease.requeue(study) == []  # it was renewed since
    clocks["monotonic"] += 301
    assert lease.requeue(study) == [0]


@pytest.mark.parametrize("hours", [-7, 7])
def test_a_clock_that_jumps_or_differs_kills_nobody(study, clocks, hours: int) -> None:
    running(study, host="elsewhere", pid=1)
    running(study)
    clocks["time"] += 3600 * hours
    assert lease.requeue(study) == []


def test_a_lease_of_days_ago_has_expired_at_once(study, clocks) -> None:
    running(study, host="elsewhere", pid=1)
    clocks["time"] += 2 * 86400
    assert lease.requeue(study) == [0]


def test_a_trial_that_never_got_a_lease_is_taken_up_soon(study, clocks) -> None:
    study.ask()
    assert lease.requeue(study) == []
    clocks["monotonic"] += 21
    assert lease.requeue(study) == [0]


def test_a_boot_time_that_wavers_kills_nobody(study: optuna.Study) -> None:
    for second in (-2.0, 2.0):
        running(study, started=lease._started(os.getpid()) + second)
    assert lease.requeue(study) == []


def test_a_process_id_given_to_another_process_is_not_alive(study: optuna.Study) -> None:
    running(study, started=1.0)
    assert lease.requeue(study) == [0]


def test_an_interrupted_trial_is_taken_up_once(study: optuna.Study) -> None:
    trial = running(study)
    trial.set_user_attr("outcome", "interrupted")
    study.tell(trial, state=TrialState.FAIL)
    assert lease.requeue(study) == [0]
    assert lease.requeue(study) == []


def test_a_network_that_kills_its_process_is_not_tried_for_ever(study: optuna.Study) -> None:
    requeued = []
    running(study, pid=2**22 + 1)
    for _ in range(10):
        requeued += lease.requeue(study)
        if not any(t.state == TrialState.WAITING for t in study.trials):
            break
        running(study, pid=2**22 + 1)
    assert len(requeued) == lease.MAX_LOSSES - 1
    assert len(study.trials) == lease.MAX_LOSSES


def test_a_network_that_gets_further_each_time_is_tried_on(study: optuna.Study) -> None:
    """Its processes were killed by others: on a cluster whose machines come and go, say."""
    for step in range(1, 7):
        trial = running(study, pid=2**22 + 1)
        study._storage.set_trial_system_attr(trial._trial_id, f"nas:step:{step}", [0.5, 1.0])
        assert lease.requeue(study) == [step - 1]


def test_a_failed_trial_stays_failed(study: optuna.Study) -> None:
    trial = running(study)
    trial.set_user_attr("outcome", "failed")
    study.tell(trial, state=TrialState.FAIL)
    assert lease.requeue(study) == []


def test_a_trial_that_ended_without_a_word_is_taken_up(study: optuna.Study) -> None:
    """As after a second Ctrl-C, or one at the moment between training and telling."""
    for outcome in (None, "trained"):
        trial = running(study)
        if outcome:
            trial.set_user_attr("outcome", outcome)
        study.tell(trial, state=TrialState.FAIL)
    assert lease.requeue(study) == [0, 1]


def test_a_lease_of_a_study_has_one_holder_until_it_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study, ours = optuna.create_study(), lease.lease_for
    assert lease.take(study, "nas:x") and lease.take(study, "nas:x")
    with monkeypatch.context() as another:
        another.setattr(lease, "lease_for", lambda seconds: ours(seconds) | {"pid": 1})
        assert not lease.take(study, "nas:x")
        lease.release(study, "nas:x")
        assert lease.take(study, "nas:x")
    assert lease.take(study, "nas:x")  # process 1 did not start when that lease says


def test_workers_are_processes_that_hold_a_lease() -> None:
    study = optuna.create_study()
    assert lease.workers(study) == 0
    trials = [study.ask(), study.ask()]
    with lease.hold(trials[0]), lease.hold(trials[1]):
        assert lease.workers(study) == 1


def test_a_network_interrupted_before_it_drew_is_still_the_one_that_waited(study) -> None:
    study.enqueue_trial({"x": 0.25})
    trial = study.ask()
    trial.set_user_attr("outcome", "interrupted")
    study.tell(trial, state=TrialState.FAIL)
    lease.requeue(study)
    again = study.ask()
    assert again.suggest_float("x", 0, 1) == 0.25
    assert again.user_attrs["continues"] == trial.number
