"""Trained finalists -> further ones made of the best: tuned, pruned, or a student taught by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from optuna.storages import BaseStorage
from torch import nn

from optuna_nas.exceptions import DescriptionError
from optuna_nas.finalists.comparison import own_network
from optuna_nas.finalists.distillation import capped, distilling, expect_classifier, find_student
from optuna_nas.finalists.finalist import Finalist
from optuna_nas.finalists.pruning import check_ratio, prune
from optuna_nas.finalists.retrained import Retrained, judge
from optuna_nas.finalists.retraining import Retraining
from optuna_nas.finalists.tuning import tune, tuning
from optuna_nas.objectives import Objective
from optuna_nas.samplers.proposing import check_least
from optuna_nas.study import Search
from optuna_nas.study.training import OnEpoch

__all__ = ["Further"]


@dataclass(frozen=True)
class Further:
    """What is made of the finalist that the search found best in its first trained objective.

    Args:
        tune: Trials of a search for its training hyperparameters; 0 for none.
        prune: Share of its channels that is cut away; None for none.
        distil: Whether it teaches `student`, or else the smallest of the other finalists.
        student: A network of the user's own to be taught, or a function that makes one.
        students: Trials of a search for a student under `caps`; 0 for none.
        caps: As in `find_student`.

    Raises:
        DescriptionError: A number out of its range.
    """

    tune: int = 0
    prune: float | None = None
    distil: bool = False
    student: nn.Module | Callable[[], nn.Module] | None = None
    students: int = 0
    caps: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("tune", "students"):
            check_least(name, getattr(self, name), 0)
        if self.prune is not None:
            check_ratio(self.prune)

    def check(self, search: Search, finalists: Sequence[Finalist]) -> None:
        """Find out, before anything is trained, whether it can be made of these.

        Raises:
            DescriptionError: It cannot.
        """
        if self.tune:
            tuning(search, finalists[0])
        if self.student is not None:
            own_network("student", self.student)
        elif self.distil and len(finalists) < 2:
            raise DescriptionError(
                f"expected a finalist beside {finalists[0].name} to be taught by it, got none; "
                "take more of them, or leave distil out"
            )
        if self._teaches:
            expect_classifier(search)
        judging = search.optimised[judge(search)].name
        for name, value in self.caps.items():
            capped(search, name, value)
            if name == judging:
                raise DescriptionError(
                    f"expected caps of students on what they cost, got {name}={value:g}, by which "
                    "the best of them is chosen anyway; leave it out"
                )

    def __call__(
        self,
        search: Search,
        storage: BaseStorage,
        trained: Sequence[Retrained],
        recipe: Retraining,
        on_epoch: OnEpoch | None = None,
    ) -> Iterator[tuple[Finalist, Retraining]]:
        """Each further finalist, and the recipe that it is trained by.

        Raises:
            DescriptionError: No finalist is trained, or there is none to be a student.
            MeasurementError: The finalist cannot be pruned.
        """
        if self == Further():
            return
        teacher = _best(search.optimised[judge(search)], trained)
        if self.tune:
            tuned = tune(search, teacher.finalist, storage, self.tune, on_epoch=on_epoch)
            yield replace(tuned, role="tuned"), recipe
        if self.prune is not None:
            yield prune(teacher, self.prune), recipe
        taught = replace(recipe, module=distilling(search, teacher)) if self._teaches else recipe
        if self.distil:
            if self.student is not None:
                student = own_network("student", self.student)
            else:
                student = _smallest(trained, teacher)
            name = f"{student.name}, taught by {teacher.finalist.name}"
            yield replace(student, name=name, role="distilled"), taught
        if self.students:
            found = find_student(search, teacher, storage, self.students, self.caps, on_epoch)
            yield found, taught

    @property
    def _teaches(self) -> bool:
        return self.distil or self.students > 0


def _best(objective: Objective, trained: Sequence[Retrained]) -> Retrained:
    there = [one for one in trained if one.trained]
    if not there:
        raise DescriptionError("expected a trained finalist to go on from, got none")
    sign = 1 if objective.direction == "maximize" else -1
    return max(there, key=lambda one: sign * one.finalist.searched[objective.name])


def _smallest(trained: Sequence[Retrained], teacher: Retrained) -> Finalist:
    others = [one for one in trained if one is not teacher and one.trained]
    if not others:
        raise DescriptionError(
            f"expected a finalist beside {teacher.finalist.name} that is trained, got none; see "
            "the warnings of the command without distil"
        )
    return min(others, key=lambda one: one.mean("parameters")).finalist
