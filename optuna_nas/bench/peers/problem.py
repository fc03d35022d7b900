"""A replayed problem as an adapter sees it: it asks for trainings, a line of JSON each."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Parameter", "Problem", "main"]

ETA = 3
"""Between two rungs, as tools see them, that take a fidelity for a number."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of the networks.

    Args:
        name: Its name.
        options: How many values it has; they are 0, 1, 2 and so on.
        ordered: Whether neighbouring values are alike.
    """

    name: str
    options: int
    ordered: bool

    @property
    def choices(self) -> list[str]:
        """The values as text, for tools that would take numbers for ordered."""
        return [str(value) for value in range(self.options)]


class Problem:
    """What is searched, and the trainings of it.

    Args:
        described: As `bench/peer.py` describes it.
        exchange: Sends a request and returns the answer.
    """

    def __init__(self, described: Mapping[str, Any], exchange: Callable[[Any], Any]) -> None:
        self.method: str = described["method"]
        self.seed: int = described["seed"]
        self.trainings: int = described["trainings"]
        """Full trainings that may be paid for."""
        self.parameters = [Parameter(*given) for given in described["parameters"]]
        self.last: int = described["rungs"] - 1
        """The rung at which training ends."""
        self._exchange = exchange

    @property
    def fidelities(self) -> list[int]:
        """The rungs as numbers that grow by `ETA`: a step of a tool's ladder is one of ours."""
        return [ETA**rung for rung in range(self.last + 1)]

    def train(self, values: Mapping[str, Any], rung: int | None = None) -> list[float]:
        """Error and logarithm of the cost of a network at a rung, by default at the end.

        Raises:
            SystemExit: The budget is spent.
        """
        wanted = {p.name: int(values[p.name]) for p in self.parameters}
        values_told = self._exchange([wanted, self.last if rung is None else rung])
        if values_told is None:
            raise SystemExit
        told: Sequence[float] = values_told
        return list(told)


def main(search: Callable[[Problem], None], version: str) -> None:
    """Run an adapter's search on the problem that comes in, until its budget is spent.

    Args:
        search: The search.
        version: Version of the tool.
    """
    answers = os.fdopen(os.dup(0), "r")
    requests = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the tool prints is no request

    def exchange(request: Any) -> Any:
        requests.write(json.dumps(request) + "\n")
        requests.flush()
        line = answers.readline()
        return json.loads(line) if line else None

    described = exchange({"version": version})
    if described is not None:
        search(Problem(described, exchange))
    sys.stderr.flush()
