"""`optuna-nas finalists`, killed again and again, ends in the table of an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.finalists import killed_study

KILLS = int(os.environ.get("OPTUNA_NAS_KILLS", "3"))
"""How often: ten take half a minute."""


class Commands:
    """Starts `optuna-nas` on a copy of the study, by forks of one process that has it loaded."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", killed_study.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            text=True,
        )

    def run(self, folder: Path, *arguments: str, last: int = 0) -> tuple[int, int]:
        """Run one command, killed at a step of its work; how many it took, and its exit status."""
        told = [arguments[0], str(folder / "study.py"), *arguments[1:]]
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([told, str(folder / "output"), last]) + "\n")
        self._process.stdin.flush()
        steps, status = json.loads(self._process.stdout.readline())
        return steps, status

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def commands() -> Iterator[Commands]:
    started = Commands()
    yield started
    started.close()


@pytest.mark.long
def test_killed_at_random_moments_it_ends_in_the_same_table(
    commands: Commands, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    shutil.copyfile(killed_study.__file__, whole / "study.py")
    assert commands.run(whole, "run")[1] == 0
    shutil.copytree(whole, killed)
    command = ("finalists", "--top", "1", "--json")
    steps, status = commands.run(whole, *command)
    assert status == 0
    chance = random.Random(0)
    moments = sorted(int(chance.uniform(0.02, 0.95) * steps) for _ in range(KILLS))
    for before, moment in zip([0, *moments], moments, strict=False):
        ended = commands.run(killed, *command, last=max(1, moment - before))
        assert ended == (0, -signal.SIGKILL)
    assert commands.run(killed, *command)[1] == 0
    assert _table(killed) == _table(whole)


def _table(folder: Path) -> list[dict[str, Any]]:
    """What was printed, but for what may differ: seconds, energy and folders."""
    table = json.loads((folder / "output").read_text())
    for final in table:
        del final["cost"]["seconds"], final["folder"]
        final["cost"].pop("joules", None)
    return table
