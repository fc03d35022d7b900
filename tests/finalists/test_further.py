"""What is made of the best finalist: tuned, pruned, or a student that it teaches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import optuna
import pytest
import torch
from torch import nn

import optuna_nas as nas
from optuna_nas.backends.require import require
from optuna_nas.exceptions import DescriptionError, MeasurementError
from optuna_nas.finalists import Distilled, Finals, Further, prune
from optuna_nas.finalists.distillation import Teacher, distilling, find_student
from optuna_nas.finalists.tuning import tuning
from optuna_nas.model import Classifier
from tests.finalists.conftest import RECIPE, describe_search

pytestmark = pytest.mark.usefixtures("untimed")

ONE_SEED = replace(RECIPE, seeds=1)


@pytest.fixture
def torch_pruning(absent: Callable[[str], object]) -> None:
    try:
        require("prune", "torch_pruning")
    except MeasurementError as missing:
        absent(str(missing))


def test_all_of_them_are_trained_tested_and_shown_beside_the_finalists(
    finish: Callable[..., Finals], study: optuna.Study, torch_pruning: None
) -> None:
    further = Further(tune=2, prune=0.5, distil=True)
    finals = finish(ONE_SEED, 2, further=further)
    roles = [final.retrained.finalist.role for final in finals.finals]
    assert roles == ["front", "front", "tuned", "pruned", "distilled"]
    best, smallest, tuned, pruned, distilled = (final.retrained for final in finals.finals)
    assert all(final.tested for final in finals.finals)
    assert tuned.digest == best.digest
    assert distilled.digest == smallest.digest
    assert pruned.mean("parameters") < best.mean("parameters")
    folder = finals.finals[3].folder
    assert folder is not None and (folder / "rebuild.py").is_file()
    assert "channels were cut after training" in (folder / "card.md").read_text()
    assert {"learning_rate", "label_smoothing"} <= tuned.finalist.hyperparameters.keys()
    name = f"small@tuning/{best.finalist.name}"
    begun = optuna.load_study(study_name=name, storage=study._storage)
    assert begun.trials[0].params["training.learning_rate"] == pytest.approx(1e-2)
    assert len(begun.trials) == 2
    again = finish(ONE_SEED, 2, further=further)
    assert again.as_json() == finals.as_json()
    assert len(begun.trials) == 2
    cheapest_first = [final.retrained for final in finals.finals[1::-1]]
    made = Further(tune=2)(finals.search, study._storage, cheapest_first, ONE_SEED)
    assert [finalist.name for finalist, _ in made] == [tuned.finalist.name]


class Doubled(Classifier):
    """A recipe of the user's."""

    def batch_loss(self, x: torch.Tensor, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return 2 * super().batch_loss(x, outputs, y)


def test_a_network_of_the_users_own_is_taught_by_the_users_own_recipe(
    finish: Callable[..., Finals], study: optuna.Study
) -> None:
    def student() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))

    finals = finish(ONE_SEED, 1, further=Further(distil=True, student=student))
    front, taught = (final.retrained for final in finals.finals)
    assert taught.finalist.name == f"student, taught by {front.finalist.name}"
    assert taught.mean("parameters") == 650
    recipe = distilling(replace(finals.search, module=Doubled), front)
    assert issubclass(recipe.func, Doubled)
    x, outputs, y = torch.randn(4, 1, 8, 8), torch.randn(4, 10), torch.arange(4)
    alone = recipe(student(), share=0.0).batch_loss(x, outputs, y)
    torch.testing.assert_close(alone, 2 * torch.nn.functional.cross_entropy(outputs, y))


def test_a_student_learns_the_answers_of_its_teacher() -> None:
    torch.manual_seed(0)
    teacher = nn.Linear(4, 3)
    student = nn.Linear(4, 3)
    recipe = Distilled(student, teacher=Teacher("t", lambda: teacher), share=1.0)
    optimizer = torch.optim.Adam(student.parameters(), 0.05)
    x = torch.randn(256, 4)
    for _ in range(400):
        optimizer.zero_grad()
        recipe.batch_loss(x, student(x), torch.zeros(256, dtype=torch.long)).backward()
        optimizer.step()
    expected, got = teacher(x).softmax(1), student(x).softmax(1)
    assert torch.allclose(expected, got, atol=1e-2)
    assert not any("teacher" in name for name in recipe.state_dict())
    alone = Distilled(student, teacher=Teacher("t", lambda: teacher), share=0.0)
    y = torch.randint(3, (256,))
    own = nas.model.Classifier(student).loss(student(x), y)
    assert torch.equal(alone.batch_loss(x, student(x), y), own)


def test_what_is_cut_is_a_smaller_network_with_the_weights_that_were_left(
    finish: Callable[..., Finals], torch_pruning: None
) -> None:
    retrained = finish(ONE_SEED).finals[0].retrained
    half, most = (prune(retrained, ratio).space(None) for ratio in (0.5, 0.75))
    sizes = [sum(p.numel() for p in network.parameters()) for network in (half, most)]
    assert retrained.mean("parameters") > sizes[0] > sizes[1]
    again = prune(retrained, 0.5).space(None)
    for name, weight in half.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
    assert half(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_what_cannot_be_made_is_refused(
    finish: Callable[..., Finals], search: nas.Search, study: optuna.Study
) -> None:
    retrained = finish(ONE_SEED).finals[0].retrained
    with pytest.raises(DescriptionError, match="ratio between 0 and 1"):
        prune(retrained, 1.0)
    with pytest.raises(DescriptionError, match="to be taught by it, got none; take more"):
        finish(ONE_SEED, further=Further(distil=True))
    other = describe_search(module=nas.model.Regressor, objectives=["mae", "parameters"])
    with pytest.raises(DescriptionError, match="module is a Classifier"):
        distilling(other, retrained)
    for wrong in ({"prune": 1.5}, {"tune": -1}, {"students": -1}):
        with pytest.raises(DescriptionError, match="expected"):
            Further(**wrong)
    with pytest.raises(DescriptionError, match="got 'speed'"):
        Further(caps={"speed": 1.0}).check(search, [retrained.finalist])
    with pytest.raises(DescriptionError, match="argument among learning_rate"):
        tuning(replace(search, module=lambda network: None), retrained.finalist)


def test_a_student_is_searched_under_a_cap(
    finish: Callable[..., Finals], study: optuna.Study
) -> None:
    further = Further(students=3, caps={"parameters": 2_000})
    finals = finish(ONE_SEED, further=further)
    teacher, student = (final.retrained for final in finals.finals)
    assert student.finalist.role == "distilled" and finals.finals[1].tested
    assert student.mean("parameters") <= 2_000
    name = f"small@students/{teacher.finalist.name}, parameters 2000"
    searched = optuna.load_study(study_name=name, storage=study._storage)
    assert student.digest in {t.user_attrs.get("digest") for t in searched.trials}
    assert len(searched.trials) == 3
    assert finals.finals[1].cost["trials"] == 8
    assert finish(ONE_SEED, further=further).as_json() == finals.as_json()
    assert len(searched.trials) == 3
    with pytest.raises(DescriptionError, match="got none in 2; allow more trials, or loosen"):
        impossible = replace(teacher.finalist, name="another")
        find_student(
            describe_search(),
            replace(teacher, finalist=impossible),
            study._storage,
            2,
            {"parameters": 10},
        )


def test_students_are_not_capped_by_what_the_best_of_them_is_chosen_by(
    finish: Callable[..., Finals],
) -> None:
    with pytest.raises(DescriptionError, match=r"got accuracy=0.9, .*leave it out"):
        finish(ONE_SEED, further=Further(students=1, caps={"accuracy": 0.9}))
