"""Finalist -> a smaller network that learns from its answers.

Source: Hinton et al. 2015, arXiv:1503.02531.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import torch
from optuna.storages import BaseStorage
from torch import Tensor, nn
from torch.nn.functional import kl_div

from optuna_nas.exceptions import DescriptionError
from optuna_nas.finalists.evaluation import candidate
from optuna_nas.finalists.finalist import Finalist, of_trial
from optuna_nas.finalists.further_search import completed
from optuna_nas.finalists.retrained import Retrained, judge
from optuna_nas.finalists.retraining import uncapped
from optuna_nas.model import Classifier
from optuna_nas.model.recipe import expect_number
from optuna_nas.objectives import Objective, resolve
from optuna_nas.reporting import front
from optuna_nas.study import Search
from optuna_nas.study.from_scratch import FromScratch
from optuna_nas.study.training import OnEpoch

__all__ = [
    "SMALLER",
    "Distilled",
    "Teacher",
    "capped",
    "distilling",
    "expect_classifier",
    "find_student",
]

SMALLER = 0.5
"""Most weights of a student, as a share of its teacher's, where no cap is given."""


class Teacher:
    """A trained network for others to learn from.

    Args:
        training: Identity of its training: with another teacher it is another search.
        make: Makes it, with its weights.
    """

    def __init__(self, training: str, make: Callable[[], nn.Module]) -> None:
        self.training = training
        self._make = make

    @cached_property
    def network(self) -> nn.Module:
        """It, in evaluation mode and without gradients."""
        return self._make().eval().requires_grad_(False)


class Distilled(Classifier):
    """A `Classifier` that learns from the data and from a teacher's logits.

    The loss is (1 - share) times the classifier's own, and share times the Kullback-Leibler
    divergence of the softened answers, times the temperature squared.

    Args:
        network: The student, (B, *input_shape) -> (B, classes).
        teacher: The teacher.
        temperature: By which logits are divided, above 0.
        share: Of the teacher in the loss, 0 to 1.
        **recipe: As for `Classifier`.

    Raises:
        DescriptionError: A number out of its range.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        teacher: Teacher,
        temperature: float = 4.0,
        share: float = 0.7,
        **recipe: Any,
    ) -> None:
        super().__init__(network, **recipe)
        expect_number("temperature", temperature, temperature > 0, "above 0")
        expect_number("share", share, 0 <= share <= 1, "from 0 to 1")
        self.temperature, self.share = temperature, share
        self._teacher = [teacher]  # in a list: no part of what is trained and saved

    def batch_loss(self, x: Tensor, outputs: Tensor, y: Tensor) -> Tensor:
        """Of inputs (B, ...), logits (B, classes) and targets (B,), teacher included."""
        teacher = self._teacher[0].network.to(outputs.device)
        with torch.no_grad():
            wanted = (teacher(x) / self.temperature).log_softmax(1)
        given = (outputs / self.temperature).log_softmax(1)
        soft = kl_div(given, wanted, reduction="batchmean", log_target=True)
        own = super().batch_loss(x, outputs, y)
        return (1 - self.share) * own + self.share * self.temperature**2 * soft


def distilling(
    search: Search, teacher: Retrained, temperature: float = 4.0, share: float = 0.7
) -> Callable[..., Distilled]:
    """A search's recipe, whatever else it does, with a finalist as the teacher.

    `Retraining(module=distilling(search, teacher), label="distilled")` trains any finalist by it;
    `find_student` searches the space by it.

    Args:
        search: The search.
        teacher: The finalist, trained; its best seed teaches.
        temperature: As for `Distilled`.
        share: As for `Distilled`.

    Raises:
        DescriptionError: The search's recipe is no `Classifier`, or the teacher is not trained.
    """
    expect_classifier(search)
    module = search.module
    if teacher.best is None:
        raise DescriptionError(f"expected a trained teacher, got {teacher.finalist.name} without")
    made, own = (module.func, module.keywords) if isinstance(module, partial) else (module, {})
    seed = teacher.best
    taught = Teacher(teacher.trainings[str(seed)], lambda: candidate(teacher, seed).network)
    return partial(_taught(made), teacher=taught, temperature=temperature, share=share, **own)


def _taught(made: Any) -> type[Distilled]:
    """A kind of Classifier that learns from a teacher, too."""
    if issubclass(Distilled, made):
        return Distilled
    return type(f"Distilled{made.__name__}", (Distilled, made), {"__module__": __name__})


def expect_classifier(search: Search) -> None:
    """See to it that students of a search can learn logits.

    Raises:
        DescriptionError: Its recipe is no `Classifier`.
    """
    module = search.module
    made = module.func if isinstance(module, partial) else module
    if not (isinstance(made, type) and issubclass(made, Classifier)):
        raise DescriptionError(
            "expected a search whose module is a Classifier, whose logits a student can learn, "
            f"got {module!r}"
        )


def find_student(
    search: Search,
    teacher: Retrained,
    storage: BaseStorage,
    trials: int,
    caps: Mapping[str, float] | None = None,
    on_epoch: OnEpoch | None = None,
) -> Finalist:
    """Search the space for the network under a cap that learns best from a teacher.

    The study is `<name>@students/<teacher>, <caps>`; repeated, it goes on until there are so many
    trials.

    Args:
        search: The search that found the teacher.
        teacher: The teacher, trained.
        storage: Where the study goes.
        trials: Trials of it in all.
        caps: Objective -> worst value that is good enough, such as {"latency": 2}; by default
            half as many weights as the teacher has.
        on_epoch: As in `Search.run`.

    Returns:
        The student that was best in the first trained objective.

    Raises:
        DescriptionError: An unknown objective, no trial within the caps, or as in `distilling`.
    """
    caps = caps or {"parameters": SMALLER * teacher.mean("parameters")}
    asked = ", ".join(f"{name} {value:g}" for name, value in caps.items())
    own = replace(
        search,
        name=f"{search.name}@students/{teacher.finalist.name}, {asked}",
        module=distilling(search, teacher),
        objectives=[uncapped(search.optimised[judge(search)])],
        constraints=[capped(search, name, value) for name, value in caps.items()],
        estimator=FromScratch(),
        fidelity=search.budget,
        sampler="tpe",
        pruner="hyperband",
        samples=0,
    )
    study = completed(own, storage, trials, on_epoch)
    best = front(study)[0]
    found = of_trial(study, best, search.space)
    whole = teacher.finalist
    return replace(
        found,
        name=f"student {best.number} of {whole.name}, {asked}",
        role="distilled",
        searched={},
        studies=(*whole.studies, study.study_name),
    )


def capped(search: Search, name: str, value: float) -> Objective:
    """An objective with a cap: as the search measures it, where it does.

    Args:
        search: The search.
        name: Of the objective.
        value: The worst that is good enough.

    Raises:
        DescriptionError: There is none of that name.
    """
    known = {objective.name: objective for objective in search.measured}
    objective = known.get(name) or resolve(name)
    if objective.direction == "maximize":
        return replace(objective, min=value)
    return replace(objective, max=value)
