"""Trainings pause while a worker of the host measures, and never for ever."""

import multiprocessing
import os
import signal
import time

import pytest

from optuna_nas.exceptions import MeasurementError
from optuna_nas.measuring import turns
from optuna_nas.measuring.turns import ANNOUNCED, Training, measuring, turn

spawn = multiprocessing.get_context("spawn")


def train(steps, computing):
    """A training in another process, which counts its steps."""
    with Training() as training:
        computing.set()
        while True:
            training.give_way()
            with steps.get_lock():
                steps.value += 1


@pytest.fixture
def trainer():
    steps, computing = spawn.Value("q", 0), spawn.Event()
    process = spawn.Process(target=train, args=(steps, computing), daemon=True)
    process.start()
    assert computing.wait(120)
    yield process, steps
    process.kill()
    process.join(60)


def goes_on(steps):
    """Wait until a training takes another step."""
    before, deadline = steps.value, time.monotonic() + 60
    while steps.value == before:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_training_pauses_while_another_process_measures(trainer, monkeypatch):
    monkeypatch.setattr(turns, "PAUSE_SECONDS", 60)  # its process may wait for a core
    _, steps = trainer
    with measuring() as paused:
        assert paused
        before = steps.value
        time.sleep(0.05)
        assert steps.value == before
    goes_on(steps)


def test_a_training_that_does_not_give_way_is_not_waited_for_for_ever(trainer, monkeypatch):
    process, _ = trainer
    monkeypatch.setattr(turns, "PAUSE_SECONDS", 0.05)
    os.kill(process.pid, signal.SIGSTOP)
    with measuring() as paused:
        assert not paused


def test_a_killed_training_holds_nobody_up(trainer):
    process, _ = trainer
    process.kill()
    process.join(60)
    with measuring() as paused:
        assert paused


def test_a_killed_measurement_holds_no_training_up():
    with turn():
        ANNOUNCED.touch()
    with Training():
        assert not ANNOUNCED.exists()


def test_what_is_loaded_takes_its_turn_and_pauses_no_training(trainer):
    with turn():
        goes_on(trainer[1])


def test_a_queue_that_does_not_end_is_a_failed_measurement(monkeypatch):
    monkeypatch.setattr(turns, "QUEUE_SECONDS", 0.05)
    with turn(), pytest.raises(MeasurementError, match="another process holds"), measuring():
        pass


def test_a_measurement_that_hangs_is_waited_for_once(monkeypatch, caplog):
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.05)
    finished = []
    with measuring(), Training(lambda: finished.append(1)) as training:
        for _ in range(3):
            training.give_way()
    assert caplog.text.count("trains on") == 1 == len(finished)


def test_another_measurement_is_waited_for_again(monkeypatch, caplog):
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.05)
    with measuring(), Training() as training:
        ANNOUNCED.unlink()
        ANNOUNCED.touch()
        training.give_way()
    assert caplog.text.count("trains on") == 2


def test_a_measurement_announced_while_a_training_takes_its_lock_is_seen(monkeypatch):
    """It looks again once it has the lock, and gives it back."""
    training = Training()
    acquire, taken = training._lock.acquire, []

    def announced_meanwhile():
        taken.append(acquire())
        if len(taken) == 1:
            ANNOUNCED.touch()  # a measurement that is killed at once

    monkeypatch.setattr(training._lock, "acquire", announced_meanwhile)
    with training:
        assert len(taken) == 2 and training._lock.is_locked
        assert not ANNOUNCED.exists()
