"""A measuring process answers, passes errors on, and is replaced when it dies."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from optuna_nas import backends
from optuna_nas.exceptions import MeasurementError
from optuna_nas.measuring import Setup
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


def test_an_error_that_cannot_be_made_again_arrives_by_its_text(process):
    def fail():
        class TwoParts(Exception):
            def __init__(self, first, second):
                super().__init__(f"{first} {second}")

        raise TwoParts("odd", "again")

    with pytest.raises(MeasurementError, match="TwoParts: odd again"):
        process.call(fail)


def test_modules_are_found_where_they_are_found_here(process, tmp_path, monkeypatch):
    process.call(os.getpid)
    (tmp_path / "found_late.py").write_text("def answer():\n    return 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    import found_late

    assert process.call(found_late.answer) == 42


def test_a_backend_that_a_script_registers_is_there(process, monkeypatch):
    class Scripted(backends.find("eager")):
        pass

    monkeypatch.setitem(backends.BACKENDS, "scripted", Scripted)
    name = process.call(
        lambda setup: backends.find(setup.backend).__name__, Setup(backend="scripted")
    )
    assert name == "Scripted"


def test_what_cannot_be_sent_is_refused(process):
    with pytest.raises(MeasurementError, match="expected a network that can be pickled"):
        process.call(id, (value for value in ()))


def test_a_crash_is_an_error_and_the_next_call_has_a_new_process(process):
    before = process.call(os.getpid)
    with pytest.raises(MeasurementError, match="SIGSEGV"):
        process.call(lambda: os.kill(os.getpid(), signal.SIGSEGV))
    assert process.call(os.getpid) != before


def test_a_signal_without_a_name_is_told_by_its_number(process):
    number = signal.SIGRTMIN + 3
    with pytest.raises(MeasurementError, match=f"ended by {number} "):
        process.call(lambda: os.kill(os.getpid(), number))


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


ORPHAN = """
import os, signal
from optuna_nas.measuring.process import MeasuringProcess

process = MeasuringProcess()
print(process.call(os.getpid), flush=True)
process.call(signal.pause)
"""


def test_a_process_whose_parent_is_killed_ends_in_the_middle_of_a_call():
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE) as parent:
        orphan = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    deadline = time.monotonic() + 60
    with suppress(psutil.NoSuchProcess):
        while orphan.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.01)
