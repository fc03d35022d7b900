"""A process that begins a study at once with others: NAME URL FOLDER COUNT.

It calibrates only when all of them have seen that nobody has begun the study.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from little import little

from optuna_nas.objectives import Parameters
from optuna_nas.study import begin

NAME, URL, FOLDER, COUNT = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])


@dataclass(frozen=True, kw_only=True)
class Counted(Parameters):
    """Notes who has calibrated it."""

    def calibrate(self) -> dict[str, Any]:
        while len(list(FOLDER.glob("*.looked"))) < COUNT:
            time.sleep(0.01)
        (FOLDER / f"{os.getpid()}.calibrated").touch()
        return {"by": os.getpid()}


def noted(study: optuna.Study, begun: Callable[[], bool]) -> Any:
    """As `beginning`, which tells others once it has looked."""

    def look() -> bool:
        found = begun()
        (FOLDER / f"{os.getpid()}.looked").touch()
        return found

    return own(study, look)


own, begin.beginning = begin.beginning, noted
little(NAME, objectives=["accuracy", Counted()]).run(trials=1, storage=URL)
