"""Trainings pause while a worker of the host measures, and never for ever."""

import multiprocessing
import os
import signal
import threading

import pytest

from optuna_nas.measuring import turns
from optuna_nas.measuring.turns import ANNOUNCED, Training, measuring

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
    assert computing.wait(60)
    yield process, steps
    process.kill()
    process.join()


def test_a_training_pauses_while_another_process_measures(trainer):
    _, steps = trainer
    with measuring() as paused:
        assert paused
        before = steps.value
        threading.Event().wait(0.05)
        assert steps.value == before
    while steps.value == before:  # it goes on
        os.sched_yield()


def test_a_training_that_does_not_give_way_is_not_waited_for_for_ever(trainer, monkeypatch):
    process, _ = trainer
    monkeypatch.setattr(turns, "PAUSE_SECONDS", 0.05)
    os.kill(process.pid, signal.SIGSTOP)
    with measuring() as paused:
        assert not paused
    os.kill(process.pid, signal.SIGCONT)


def test_a_killed_training_holds_nobody_up(trainer):
    process, _ = trainer
    process.kill()
    process.join()
    with measuring() as paused:
        assert paused


def test_a_killed_measurement_holds_no_training_up():
    ANNOUNCED.touch()
    with Training() as training:
        training.give_way()
        assert not ANNOUNCED.exists()


def test_a_training_goes_on_when_measurements_take_too_long(monkeypatch, caplog):
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.05)
    with measuring(), Training() as training:
        training.give_way()
    assert "trained on" in caplog.text
