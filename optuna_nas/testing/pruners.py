"""What any pruner of several objectives must do, in every storage."""

from __future__ import annotations

import math
import pickle
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
import pytest
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState

from optuna_nas.pruners import report, should_prune

__all__ = ["PrunerConformance"]

NAMES = ("accuracy", "cost")


class PrunerConformance(ABC):
    """Give `make_pruner`, of a pruner that has a rung within the first four steps."""

    steps = range(1, 5)

    @abstractmethod
    def make_pruner(self) -> BasePruner:
        """A new pruner with the same arguments each time."""

    @pytest.fixture(params=("in memory", "sqlite", "journal"))
    def storage(self, request: pytest.FixtureRequest, tmp_path: Path) -> BaseStorage:
        """Storages that need no server; override it for more."""
        if request.param == "sqlite":
            return RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")
        if request.param == "journal":
            return JournalStorage(JournalFileBackend(str(tmp_path / "study.log")))
        return InMemoryStorage()

    def make_study(
        self,
        storage: BaseStorage | None = None,
        directions: Sequence[StudyDirection] = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE),
        name: str | None = None,
    ) -> optuna.Study:
        """A study that is pruned."""
        return optuna.create_study(
            storage=storage,
            directions=list(directions),
            pruner=self.make_pruner(),
            study_name=name,
        )

    def train(
        self,
        study: optuna.Study,
        number: int,
        reload: Callable[[optuna.Study], optuna.Study] = lambda study: study,
    ) -> list[bool]:
        """Train a trial whose values depend on its number; the decisions taken."""
        trial = study.ask()
        decisions: list[bool] = []
        cost = (number * 7) % 11 + 1.0
        for step in self.steps:
            accuracy = ((number * 5) % 13) * step / 13
            report(
                trial,
                step,
                dict(zip(NAMES, (accuracy, cost)[: len(study.directions)], strict=False)),
            )
            trial = optuna.Trial(reload(study), trial._trial_id)
            decisions.append(should_prune(trial))
            if decisions[-1]:
                study.tell(trial, state=TrialState.PRUNED)
                return decisions
        study.tell(trial, (1.0, 1.0)[: len(study.directions)])
        return decisions

    def test_it_prunes_some_trials_and_keeps_some_in_every_storage(
        self, storage: BaseStorage
    ) -> None:
        study = self.make_study(storage)
        for number in range(15):
            self.train(study, number)
        states = [trial.state for trial in study.trials]
        assert {TrialState.PRUNED, TrialState.COMPLETE} <= set(states)
        assert not any(trial.intermediate_values for trial in study.trials)
        optuna.delete_study(study_name=study.study_name, storage=study._storage)

    def test_decisions_do_not_depend_on_the_storage_or_on_a_resume(
        self, storage: BaseStorage
    ) -> None:
        def resumed(study: optuna.Study) -> optuna.Study:
            return optuna.load_study(
                study_name=study.study_name, storage=study._storage, pruner=self.make_pruner()
            )

        name = f"equal-{uuid.uuid4()}"
        ours, plain = self.make_study(storage, name=name), self.make_study(name=name)
        for number in range(12):
            assert self.train(ours, number, resumed) == self.train(plain, number)
        optuna.delete_study(study_name=ours.study_name, storage=ours._storage)

    def test_workers_that_share_a_study_can_prune_at_once(self) -> None:
        study = self.make_study()
        workers = [
            threading.Thread(target=lambda: [self.train(study, n) for n in range(10)])
            for _ in range(4)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert all(trial.state.is_finished() for trial in study.trials)
        assert len(study.trials) == 40

    @pytest.mark.parametrize("directions", [[StudyDirection.MINIMIZE] * n for n in (1, 2, 3)])
    def test_it_takes_any_number_of_objectives(self, directions: list[StudyDirection]) -> None:
        trial = self.make_study(directions=directions).ask()
        for step in self.steps:
            report(trial, step, dict.fromkeys("abc"[: len(directions)], 1.0))
            assert not should_prune(trial)

    def test_it_keeps_a_trial_that_has_not_reported(self) -> None:
        assert not should_prune(self.make_study().ask())

    def test_nan_is_pruned_within_the_first_steps(self) -> None:
        trial = self.make_study().ask()
        decisions = []
        for step in self.steps:
            report(trial, step, {"a": math.nan, "b": 1.0})
            decisions.append(should_prune(trial))
        assert any(decisions)

    def test_it_can_be_pickled(self) -> None:
        pickle.loads(pickle.dumps(self.make_pruner()))
