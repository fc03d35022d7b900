"""Searches by tools in environments of their own: what starts them, and what answers them.

An adapter in `bench/peers/` asks for a training by a line `[values, rung]` and is answered by a
line `[error, log cost]`, or by the end of its input when the budget is spent.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from optuna_nas.bench.ledger import Ledger
from optuna_nas.bench.tabular import Table
from optuna_nas.exceptions import DescriptionError, TrainingError

__all__ = ["PEERS", "Peer", "find", "replay"]

FOLDER = Path(__file__).parent
IDLE = 200
"""Trainings in a row that are not paid for, after which a search counts as stuck."""


@dataclass(frozen=True)
class Peer:
    """A tool's search.

    Args:
        adapter: Module of `bench/peers/`.
        package: What to install for it.
    """

    adapter: str
    package: str

    def command(self, python: str) -> list[str]:
        """What starts its adapter."""
        # Last on the path: the modules beside `peers` are not for tools to import.
        start = "import runpy, sys; sys.path.append(sys.argv[1]); runpy.run_module"
        return [
            python,
            "-E",
            "-W",
            "ignore",
            "-c",
            f"{start}(sys.argv[2], run_name='__main__')",
            str(FOLDER),
            f"peers.{self.adapter}",
        ]


PEERS: dict[str, Peer] = {
    "pymoo-nsga2": Peer("with_pymoo", "pymoo"),
    "syne-tune-moasha": Peer("with_syne_tune", "syne-tune[botorch]"),
    "syne-tune-mo-rea": Peer("with_syne_tune", "syne-tune[botorch]"),
    "syne-tune-ehvi": Peer("with_syne_tune", "syne-tune[botorch]"),
    "neps-mo-hyperband": Peer("with_neps", "neural-pipeline-search"),
    "neps-primo": Peer("with_neps", "neural-pipeline-search"),
    "smac-parego": Peer("with_smac", "smac"),
    "ax": Peer("with_ax", "ax-platform"),
}


class _Process:
    """An adapter at work."""

    def __init__(self, peer: Peer, python: str) -> None:
        self._errors = tempfile.TemporaryFile("w+")
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        try:
            self._process = subprocess.Popen(peer.command(python), stderr=self._errors, **pipes)
        except OSError:
            self._errors.close()
            raise

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def ask(self) -> Any:
        """Its next request; None where it has ended."""
        line = _pipe(self._process.stdout).readline()
        return json.loads(line) if line else None

    def answer(self, value: Any) -> None:
        """Answer its last request."""
        pipe = _pipe(self._process.stdin)
        pipe.write(json.dumps(value) + "\n")
        pipe.flush()

    def complaint(self) -> str:
        """The last of what it wrote to its standard error."""
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return " ".join(lines[-3:])[-500:] or f"exit status {self._process.returncode}"


def find(name: str, pythons: Sequence[str]) -> tuple[str, str]:
    """The first of several Pythons in which a peer starts, and the peer's version there.

    Raises:
        DescriptionError: There is none.
    """
    complaints = []
    for python in pythons:
        try:
            with _Process(PEERS[name], python) as process:
                told = process.ask()
                if told is not None:
                    return python, str(told["version"])
                complaints.append(f"{python}: {process.complaint()}")
        except OSError as error:
            complaints.append(str(error))
    package = PEERS[name].package
    raise DescriptionError(
        f"expected {package} for {name} in the environment of --peer-python, got "
        f"{'; '.join(complaints) or 'no such option'}; make one by `python -m venv peers` and "
        f"`peers/bin/pip install '{package}'`, and give --peer-python peers/bin/python"
    )


def replay(
    problem: Table, name: str, python: str, seed: int, budget: float
) -> tuple[Ledger, list[float]]:
    """Replay a peer until a budget in full trainings is spent.

    Returns:
        What it paid for, and the seconds that it took before each training that it asked for.

    Raises:
        TrainingError: It ended with an error.
    """
    ledger, times, idle = Ledger(problem), [], 0
    with _Process(PEERS[name], python) as process:
        process.ask()
        process.answer(_described(problem, name, seed, budget))
        while ledger.spent < budget * problem.unit and not ledger.exhausted and idle < IDLE:
            started = time.perf_counter()
            request = process.ask()
            if request is None:
                raise TrainingError(
                    f"expected {name} to search with seed {seed} until its budget is spent, "
                    f"got {process.complaint()}"
                )
            times.append(time.perf_counter() - started)
            before = ledger.spent
            wanted, rung = request
            process.answer(ledger.train(problem.nearest(wanted), rung))
            idle = idle + 1 if ledger.spent == before else 0
    return ledger, times


def _described(problem: Table, name: str, seed: int, budget: float) -> Mapping[str, Any]:
    return {
        "method": name,
        "seed": seed,
        "trainings": int(budget),
        "parameters": [
            [p.name, len(p.options), p.ordered] for p in problem.parameters if len(p.options) > 1
        ],
        "rungs": len(problem.steps),
    }


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None  # Popen was asked for it
    return pipe
