"""Processes of a benchmark end with the one that started them."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from optuna_nas.bench.processes import processes

WAITING = """
import multiprocessing, time
from optuna_nas.bench.processes import processes

if __name__ == "__main__":
    with processes(2) as pool:
        tasks = [pool.submit(time.sleep, 600) for _ in range(2)]
        print(*[child.pid for child in multiprocessing.active_children()], flush=True)
        tasks[0].result()
"""


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)]
)
def test_a_signal_leaves_no_process_computing(tmp_path, number, code) -> None:
    script = tmp_path / "waiting.py"
    script.write_text(WAITING)
    started = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    children = [int(pid) for pid in started.stdout.readline().split()]
    assert len(children) == 2
    started.send_signal(number)
    started.communicate(timeout=120)
    assert started.returncode == code
    assert not any(map(runs, children))


def test_sigterm_is_as_before_afterwards_and_other_threads_may_compute() -> None:
    before = signal.getsignal(signal.SIGTERM)
    found = []

    def compute() -> None:
        with processes(1) as pool:
            found.append(pool.submit(time.strftime, "done").result())

    compute()
    assert signal.getsignal(signal.SIGTERM) is before
    thread = threading.Thread(target=compute)
    thread.start()
    thread.join()
    assert found == ["done", "done"]
