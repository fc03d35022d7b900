"""A journal outlives its writers: one killed with its lock held, and a line cut in the middle."""

import errno
import io
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import optuna
import pytest
from optuna.storages.journal import JournalFileSymlinkLock

from optuna_nas.study.storages import journal_lock
from optuna_nas.study.storages.journal import FileJournal, _cut
from optuna_nas.study.storages.journal_lock import MortalLock
from optuna_nas.study.storages.opening import connect

HOLDING = """
import sys, time
from optuna_nas.study.storages.journal_lock import MortalLock
MortalLock(sys.argv[1]).acquire()
print("held", flush=True)
time.sleep(1000)
"""


@pytest.fixture
def path(tmp_path) -> str:
    journal = tmp_path / "s.journal"
    journal.touch()
    return str(journal)


def test_the_lock_of_a_killed_process_is_free_at_once(path: str) -> None:
    script = """
import os, sys
from optuna_nas.study.storages.journal_lock import MortalLock
MortalLock(sys.argv[1]).acquire()
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", script, path], check=False)
    assert Path(f"{path}.lock").is_symlink()
    lock = MortalLock(path)
    lock.grace_period = None  # so that it would wait for ever
    assert lock.acquire()
    lock.release()
    assert not list(Path(path).parent.glob("*.lock*"))


def test_a_lock_that_a_living_process_holds_is_left_alone(path: str) -> None:
    held = MortalLock(path)
    held.acquire()
    MortalLock(path)._bury()
    assert Path(f"{path}.lock").is_symlink()
    held.release()


def test_a_lock_that_was_taken_since_is_left_alone(path: str, monkeypatch) -> None:
    """Who finds a dead holder looks again, when it is its turn to take the lock away."""
    alive = MortalLock(path)
    alive.acquire()
    held = os.readlink(f"{path}.lock")
    waiting = MortalLock(path)
    found = iter([re.sub(r"-\d+-", "-4000000-", held, count=1)])  # no process has that number
    look = waiting._holder
    monkeypatch.setattr(waiting, "_holder", lambda: next(found, None) or look())
    monkeypatch.setattr(journal_lock.time, "sleep", lambda _: alive.release())
    assert waiting.acquire()
    assert os.readlink(f"{path}.lock") != held
    waiting.release()
    assert not list(Path(path).parent.glob("*.lock*"))


def test_a_holder_that_dies_while_others_wait_is_noticed(path: str) -> None:
    dying = subprocess.Popen([sys.executable, "-c", HOLDING, path], stdout=subprocess.PIPE)
    assert dying.stdout is not None and dying.stdout.readline() == b"held\n"
    lock = MortalLock(path)
    lock.grace_period = None
    killed = threading.Timer(0.3, dying.kill)
    killed.start()
    assert lock.acquire()
    assert dying.wait() == -signal.SIGKILL
    dying.stdout.close()
    lock.release()
    assert not list(Path(path).parent.glob("*.lock*"))


def test_what_the_dead_left_is_cleared_up(path: str) -> None:
    alive = MortalLock(path)
    alive.acquire()
    held = os.readlink(f"{path}.lock")
    dead = re.sub(r"-\d+-", "-4000000-", held, count=1)
    Path(path).with_name(dead).touch()
    Path(f"{path}.lock1234.rename").symlink_to(dead)
    MortalLock(path)
    left = {file.name for file in Path(path).parent.glob("*.lock*")}
    assert left == {f"{Path(path).name}.lock", held}
    alive.release()


def test_plain_optuna_waits_for_ours_and_we_for_it(path: str, monkeypatch) -> None:
    ours, plain = MortalLock(path), JournalFileSymlinkLock(path)
    ours.acquire()
    threading.Timer(0.1, ours.release).start()
    assert plain.acquire()
    threading.Timer(0.1, plain.release).start()
    assert ours.acquire()
    ours.release()
    plain.acquire()  # and dies: nobody knows who it was
    ours.grace_period = 0.2
    assert ours.acquire()
    ours.release()
    assert not list(Path(path).parent.glob("*.lock*"))


def test_a_study_goes_on_after_a_line_that_a_kill_cut(path: str) -> None:
    study = optuna.create_study(study_name="s", storage=connect(path))
    study.ask().suggest_int("x", 0, 9)
    with open(path, "a") as journal:
        journal.write('{"op_code":5,"worker_id":"w","trial_')
    again = optuna.load_study(study_name="s", storage=connect(path))
    again.tell(again.ask(), 1.0)
    assert len(optuna.load_study(study_name="s", storage=connect(path)).trials) == 2


def test_a_line_that_comes_while_the_end_is_looked_for_stays() -> None:
    class Growing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            found = super().read(size)
            self.seek(0, io.SEEK_END)
            self.write(b"another's\n")
            return found

    file = Growing(b"ours\n")
    _cut(file)
    assert file.getvalue() == b"ours\nanother's\n"


def test_a_half_line_left_between_two_locks_spoils_nothing(path: str, monkeypatch) -> None:
    release = MortalLock.release

    def leave_half_a_line(lock: MortalLock) -> None:
        release(lock)
        with open(path, "a") as journal:
            journal.write('{"op_code":5,"work')

    monkeypatch.setattr(MortalLock, "release", leave_half_a_line)
    journal = FileJournal(path)
    journal.append_logs([{"a": 1}])
    journal.append_logs([{"b": 2}, {"c": 3}])
    assert list(journal.read_logs(0)) == [{"a": 1}, {"b": 2}, {"c": 3}]


def test_a_lock_whose_holder_cannot_be_named_is_free_at_once(path: str, monkeypatch) -> None:
    def full(file: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "touch", full)
    with pytest.raises(OSError, match="No space left"):
        MortalLock(path).acquire()
    assert not list(Path(path).parent.glob("*.lock*"))


def test_a_full_disk_is_waited_for(path: str) -> None:
    """A real limit of the process: no file of it may grow, until there is room again."""
    script = """
import os, sys, threading
from contextlib import ExitStack
import optuna
from optuna_nas.bench.outages import full_disk
from optuna_nas.study.storages.opening import connect

storage = connect(sys.argv[1])
study = optuna.create_study(study_name="s", storage=storage)
study.set_user_attr("large", "x" * 20_000)
with ExitStack() as full:
    full.enter_context(full_disk([os.getpid()]))
    storage._backend.patience.seconds = 0.0
    try:
        study.set_user_attr("now", 1)
    except optuna.exceptions.StorageInternalError as error:
        print(error)
    storage._backend.patience.seconds = 60.0
    threading.Timer(0.5, full.close).start()
    study.set_user_attr("then", 2)
"""
    said = subprocess.run(
        [sys.executable, "-c", script, path], check=True, capture_output=True, text=True
    )
    assert "File too large" in said.stdout and "the storage answers after" in said.stderr
    stored = optuna.load_study(study_name="s", storage=connect(path)).user_attrs
    assert len(stored.pop("large")) == 20_000
    assert stored == {"then": 2}
