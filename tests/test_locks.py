"""A lock between processes: exclusive, fair, released by death, and bounded."""

import multiprocessing
import os
import time
import uuid

import pytest

from optuna_nas.exceptions import NASError
from optuna_nas.locks import host_lock

CONTEXT = multiprocessing.get_context("spawn")


def hold_again_and_again(name, begun, done) -> None:
    while not done.is_set():
        with host_lock(name, timeout=60):
            begun.set()
            time.sleep(0.05)


def die_holding(name) -> None:
    with host_lock(name, timeout=60):
        os._exit(9)


@pytest.fixture
def name() -> str:
    return f"test-{uuid.uuid4()}"


def test_a_process_that_takes_it_again_and_again_lets_others_in(name: str) -> None:
    begun, done = CONTEXT.Event(), CONTEXT.Event()
    greedy = CONTEXT.Process(target=hold_again_and_again, args=(name, begun, done))
    greedy.start()
    assert begun.wait(120)
    try:
        for _ in range(5):
            with host_lock(name, timeout=60):
                pass
    finally:
        done.set()
        greedy.join(60)


def test_a_dead_holder_releases_it(name: str) -> None:
    dying = CONTEXT.Process(target=die_holding, args=(name,))
    dying.start()
    dying.join(120)
    with host_lock(name, timeout=60):
        pass


def test_waiting_ends_with_what_to_do(name: str) -> None:
    with host_lock(name, timeout=10), pytest.raises(NASError, match="fuser"):
        with host_lock(name, timeout=0.05):
            pass
