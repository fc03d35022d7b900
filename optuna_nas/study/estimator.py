"""How a search comes to know of a network what untrained weights do not show."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import optuna

from optuna_nas.objectives import Candidate

if TYPE_CHECKING:
    from optuna_nas.study.definition import Definition
    from optuna_nas.study.search import Search
    from optuna_nas.study.training import OnEpoch
    from optuna_nas.study.trial import TrialRun

__all__ = ["Estimation", "Estimator"]


class Estimation(abc.ABC):
    """How one trial comes to know it.

    Attributes:
        outcome: What a trial is that was seen through, one of `record.OUTCOMES`.
        details: What the record of each of its values says beside it.
    """

    outcome: ClassVar[str]
    details: ClassVar[Mapping[str, Any]] = {}

    @abc.abstractmethod
    def __call__(self, candidate: Candidate) -> Mapping[str, float]:
        """What is logged on the validation data; the candidate's network has its final weights.

        Raises:
            optuna.TrialPruned: The network is not worth more.
        """

    @property
    def epochs(self) -> int:
        """Epochs that the trial itself has trained."""
        return 0

    @property
    def joules(self) -> float | None:
        """Energy of that training, J; None where nothing counted it."""
        return None

    @property
    @abc.abstractmethod
    def ended(self) -> str:
        """A sentence that says what was done."""

    @abc.abstractmethod
    def end(self, outcome: str) -> None:
        """Remove what nobody will need, now that the trial has ended."""


class Estimator(abc.ABC):
    """Gives the values of the objectives of stage `trained`: a part of a Search, and described.

    Attributes:
        pruner: Name of the pruner of a search that says none.
    """

    pruner: ClassVar[str]

    @property
    @abc.abstractmethod
    def smoke(self) -> Mapping[str, Any]:
        """Arguments of a search that differ in a run of seconds, where it says none."""

    @abc.abstractmethod
    def check(self, search: Definition) -> None:
        """Find out whether the other parts of a search go with it.

        Raises:
            DescriptionError: They do not.
        """

    @abc.abstractmethod
    def describe(self, search: Definition) -> dict[str, Any]:
        """What, beside network, data and recipe, tells its values from others, as JSON.

        Where it is not training from scratch, `estimator` is one of the keys.
        """

    @abc.abstractmethod
    def prepare(self, search: Search, study: optuna.Study, on_epoch: OnEpoch | None) -> None:
        """Do what all trials of a study need; in a process where it is done, nothing.

        Args:
            search: The search.
            study: Its study, begun.
            on_epoch: Told of the epochs trained for it, as those of no trial.
        """

    @abc.abstractmethod
    def begin(self, run: TrialRun, identity: str) -> Estimation:
        """See to one trial.

        Args:
            run: The trial, of which the network is known.
            identity: Of its training.
        """
