"""Several processes on one study: what each is given, and what a crash of one costs."""

import logging
import os
import signal
import socket
import subprocess
import sys

import psutil
import pytest
from crashing import Crashing, stuck
from little import little
from optuna.trial import TrialState

from optuna_nas.exceptions import DescriptionError, SearchStopped, StudyError
from optuna_nas.study.lease import LEASE, unfinished
from optuna_nas.study.loop import Permits
from optuna_nas.study.workers import Workers, crew, local
from optuna_nas.study.workers import resources as module
from optuna_nas.study.workers.crew import Crew
from optuna_nas.study.workers.messages import Died, Message, Ready
from optuna_nas.study.workers.process import WorkerProcess


def test_a_crash_costs_its_worker_and_nothing_else(tmp_path, caplog) -> None:
    """Two workers, one of which dies by a real SIGSEGV: replaced, and its trial taken up again."""
    epochs, ended = [], []
    with caplog.at_level(logging.WARNING):
        study = little("tiny", module=Crashing(tmp_path / "crashed")).run(
            trials=6,
            storage=f"sqlite:///{tmp_path}/s.db",
            workers=2,
            callbacks=[lambda study, trial: ended.append(trial.number)],
            on_epoch=lambda *told: epochs.append(told),
        )
    (lost,) = [t for t in study.trials if t.state == TrialState.FAIL]
    assert lost.user_attrs["outcome"] == "lost"
    (again,) = [t for t in study.trials if t.user_attrs.get("continues") == lost.number]
    assert again.params == lost.params and again.number in ended
    assert "SIGSEGV" in caplog.text
    done = [t.number for t in study.trials if t.state != TrialState.FAIL]
    assert sorted(ended) == done and len(done) == 6
    assert {number for number, *_ in epochs} <= {*done, lost.number}
    processes = {t.system_attrs[LEASE]["pid"] for t in study.trials}
    assert os.getpid() not in processes and len(processes) >= 2


def test_a_trial_that_hangs_in_c_fails_and_its_worker_is_replaced(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(crew, "GRACE", 0.0)
    ended = []
    study = little("tiny", module=stuck, time_limit=2.0).run(
        trials=2,
        storage=f"sqlite:///{tmp_path}/s.db",
        workers=1,
        callbacks=[lambda study, trial: ended.append(trial.number)],
    )
    assert [t.state for t in study.trials] == [TrialState.FAIL] * 2 and ended == [0, 1]
    for trial in study.trials:
        assert trial.params and trial.user_attrs["outcome"] == "failed"
        assert "at most 2 s" in trial.user_attrs["ended"]
        assert "process was ended" in trial.user_attrs["ended"]
    processes = {trial.system_attrs[LEASE]["pid"] for trial in study.trials}
    assert len(processes) == 2 and not any(map(psutil.pid_exists, processes))
    assert unfinished(study.trials) == []


class Dying(WorkerProcess):
    """A worker that dies at each trial."""

    def __init__(self, number: int, error: Exception | None = None) -> None:
        super().__init__(number)
        self.said = [Ready(None), Died("it had enough", error)]
        self.connection, self.other = socket.socketpair()
        self.other.send(b"something to hear")

    def hear(self) -> Message:
        return self.said.pop(0)

    def go_on(self, with_a_trial: bool) -> None:
        pass

    def interrupt(self) -> None:
        pass

    def death(self) -> str:
        return ""

    def end(self, deadline: float) -> None:
        self.connection.close()
        self.other.close()


@pytest.fixture
def worker_script(monkeypatch, tmp_path):
    """Starts a shell script in the place of a worker."""

    def start(script: str) -> local.LocalProcess:
        file = tmp_path / "worker"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(file))
        return local.LocalProcess(0, b"", {})

    return start


def test_a_killed_worker_is_noticed_while_what_it_forked_lives(worker_script, tmp_path) -> None:
    worker = worker_script(f"sleep 60 & echo $! > {tmp_path}/forked; kill -9 $$")
    worker._process.wait()
    try:
        assert worker.failed()
        assert worker.hear() == Died(f"process {worker._process.pid} ended by SIGKILL")
    finally:
        os.kill(int((tmp_path / "forked").read_text()), signal.SIGKILL)
        worker.end(0.0)


def test_a_worker_that_says_no_more_but_lives_is_killed(worker_script, monkeypatch) -> None:
    monkeypatch.setattr(local, "ENDING_SECONDS", 0.1)
    worker = worker_script("exec sleep 60")
    assert worker.death().endswith("ended by SIGKILL")
    worker.end(0.0)


def test_sigterm_ends_what_a_worker_forked_even_in_c() -> None:
    script = """
import os, signal
from optuna_nas.study.workers.interrupts import Interrupts
Interrupts((signal.SIGTERM,))
reads, writes = os.pipe()
if not (child := os.fork()):
    os.write(writes, b"ready")
    sum(range(10**9))  # looks at no signal
os.read(reads, 5)
os.kill(child, signal.SIGTERM)
assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
assert isinstance(signal.getsignal(signal.SIGTERM).__self__, Interrupts)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_search_whose_workers_only_die_stops() -> None:
    permits = Permits(trials=2, timeout=None)
    dying = Crew(Dying, 3, permits, None)
    dying.start(0)
    with pytest.raises(SearchStopped, match=r"4 workers died in a row.*it had enough"):
        list(dying.run())
    dying.end()
    assert permits.take() and permits.take() and not permits.take()


def test_what_no_worker_can_do_ends_the_run_at_once() -> None:
    dying = Crew(lambda number: Dying(number, StudyError("moved")), 3, Permits(2, None), None)
    dying.start(0)
    with pytest.raises(StudyError, match="moved"):
        list(dying.run())
    dying.end()


def test_workers_need_a_storage_that_all_can_open() -> None:
    with pytest.raises(DescriptionError, match="in memory"):
        little("tiny").run(trials=1, storage="sqlite:///:memory:", workers=2)


def test_each_worker_has_a_gpu_and_threads_of_its_own(monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(module, "cores", lambda: 8)
    monkeypatch.setattr(module, "gpus", lambda: ["0", "GPU-2f"])
    given = Workers(3, per_device=2).environments({}, None)
    assert [e["CUDA_VISIBLE_DEVICES"] for e in given] == ["0", "GPU-2f", "0"]
    assert {e["OMP_NUM_THREADS"] for e in given} == {"2"}
    with pytest.raises(DescriptionError, match=r"at most 2 workers for 2 GPUs.*--per-device 2"):
        Workers(3).environments({}, None)
    assert Workers(3).environments({"accelerator": "cpu"}, 5) == [{"OMP_NUM_THREADS": "5"}] * 3


def test_without_a_gpu_workers_share_the_cores(monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(module, "cores", lambda: 8)
    monkeypatch.setattr(module, "gpus", list)
    assert Workers(3).environments({}, None) == [{"OMP_NUM_THREADS": "2"}] * 3
    assert Workers(16).environments({}, None) == [{"OMP_NUM_THREADS": "1"}] * 16


def test_the_gpus_that_were_given_are_those_shared(monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert module.gpus() == ["3", "5"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert module.gpus() == ["0", "1"]


@pytest.mark.parametrize("wrong", [{"count": 0}, {"count": 1, "per_device": 0}])
def test_a_number_below_one_is_refused(wrong) -> None:
    with pytest.raises(DescriptionError, match=r"expected .* >= 1, got 0"):
        Workers(**wrong)
