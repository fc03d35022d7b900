"""Which trials of a study are one network taken up again.

A trial that continues another one (user attribute `continues`) belongs to its lineage.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from optuna_nas.pruners.curve import curve

__all__ = ["CONTINUES", "RUNG", "Lineages", "completed_rung", "is_among"]

CONTINUES = "continues"
RUNG = "completed_rung_"


def completed_rung(rung: int) -> str:
    """Key of the system attribute that holds a trial's value at a rung, as Optuna names it."""
    return f"{RUNG}{rung}"


class Lineages:
    """The trials of a study, and which of them are one network taken up again.

    They are read once a decision, and only where one is due.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study

    def root(self, trial: FrozenTrial) -> int:
        """Number of the first trial of a trial's lineage."""
        while (earlier := self.earlier(trial)) is not None:
            trial = earlier
        return trial.number

    def earlier(self, trial: FrozenTrial) -> FrozenTrial | None:
        """The trial that a trial continues, if it does."""
        number = trial.user_attrs.get(CONTINUES, trial.number)
        return self.trials[number] if 0 <= number < trial.number else None

    def inherited(self, trial: FrozenTrial) -> Mapping[str, Any]:
        """System attributes of a trial on top of those of the trials that it continues."""
        earlier = self.earlier(trial)
        if earlier is None:
            return trial.system_attrs
        return ChainMap(dict(trial.system_attrs), dict(self.inherited(earlier)))

    def curve(self, trial: FrozenTrial) -> dict[int, tuple[float, ...]]:
        """What a network reported up to a trial: step -> values of the latest to report it."""
        reported = curve(trial, len(self._study.directions))
        earlier = self.earlier(trial)
        if earlier is None:
            return reported
        return dict(sorted((self.curve(earlier) | reported).items()))

    @cached_property
    def trials(self) -> list[FrozenTrial]:
        """Every trial of the study, as it is now."""
        return self._study.get_trials(deepcopy=False)


def is_among(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> bool:
    """Whether a trial that was read before is one of these; a deleted study's id comes again."""
    there = trials[trial.number] if trial.number < len(trials) else None
    return there is not None and there.datetime_start == trial.datetime_start
