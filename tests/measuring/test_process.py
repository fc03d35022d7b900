"""A measuring process answers, passes errors on, and is replaced when it dies."""

import os
import signal

import pytest

from optuna_nas.exceptions import MeasurementError
from optuna_nas.measuring.process import MeasuringProcess


@pytest.fixture(scope="module")
def process():
    measuring = MeasuringProcess()
    yield measuring
    measuring.stop()


def test_it_is_one_other_process_for_many_calls(process):
    first = process.call(os.getpid)
    assert first == process.call(os.getpid) != os.getpid()


def test_functions_that_a_script_defines_travel(process):
    offset = 3
    assert process.call(lambda value: value + offset, 4) == 7


def test_an_error_arrives_as_itself(process):
    def fail():
        raise MeasurementError("no counter")

    with pytest.raises(MeasurementError, match="no counter"):
        process.call(fail)


def test_an_error_that_cannot_be_sent_arrives_by_its_text(process):
    def fail():
        error = ValueError("odd")
        error.cause = (value for value in ())
        raise error

    with pytest.raises(MeasurementError, match="ValueError: odd"):
        process.call(fail)


def test_what_cannot_be_sent_is_refused(process):
    with pytest.raises(MeasurementError, match="expected a network that can be pickled"):
        process.call(id, (value for value in ()))


def test_a_crash_is_an_error_and_the_next_call_has_a_new_process(process):
    before = process.call(os.getpid)
    with pytest.raises(MeasurementError, match="SIGSEGV"):
        process.call(lambda: os.kill(os.getpid(), signal.SIGSEGV))
    assert process.call(os.getpid) != before


def test_an_exit_says_what_it_printed(process):
    def leave():
        os.write(2, b"out of memory")
        os._exit(9)

    with pytest.raises(MeasurementError, match=r"exit code 9 .*\n  out of memory"):
        process.call(leave)


def test_a_process_that_has_grown_is_replaced(process, monkeypatch):
    monkeypatch.setattr("optuna_nas.measuring.process.LEAK", 50 << 20)
    before = process.call(os.getpid)
    kept = process.call(lambda: os.environ.setdefault("kept", "x" * (100 << 20)) and os.getpid())
    assert kept == before
    assert process.call(os.getpid) != before


def test_an_answer_that_never_comes_ends_the_process(process, monkeypatch):
    monkeypatch.setattr("optuna_nas.measuring.process.SECONDS", 0.2)
    with pytest.raises(MeasurementError, match="without an answer"):
        process.call(signal.pause)
