"""Recall of chosen classes, as a count of one's own finds it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassRecall

from optuna_nas.exceptions import DescriptionError
from optuna_nas.model.metrics import RecallOf

LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


def recall(pairs: list[tuple[int, int]], classes: tuple[int, ...], batch: int = 7) -> float:
    metric = RecallOf(classes, num_classes=4)
    for start in range(0, len(pairs), batch):
        predicted, targets = torch.tensor(pairs[start : start + batch]).unbind(1)
        metric.update(torch.nn.functional.one_hot(predicted, 4).float(), targets)
    return float(metric.compute())


@given(LABELS, st.sets(st.integers(0, 3), min_size=1))
def test_is_the_mean_over_chosen_classes_with_examples(
    pairs: list[tuple[int, int]], chosen: set[int]
) -> None:
    shares = []
    for label in chosen:
        answers = [predicted for predicted, target in pairs if target == label]
        if answers:
            shares.append(answers.count(label) / len(answers))
    found = recall(pairs, tuple(chosen))
    if not shares:
        assert found != found
    else:
        assert found == pytest.approx(sum(shares) / len(shares), abs=1e-6)


@given(LABELS)
def test_of_all_classes_is_macro_recall(pairs: list[tuple[int, int]]) -> None:
    pairs = pairs + [(label, label) for label in range(4)]
    predicted, targets = torch.tensor(pairs).unbind(1)
    macro = MulticlassRecall(4, average="macro")(predicted, targets)
    assert recall(pairs, (0, 1, 2, 3)) == pytest.approx(float(macro), abs=1e-6)


def test_a_class_that_there_is_not_is_refused() -> None:
    with pytest.raises(DescriptionError, match="classes from 0 to 2 to recall, got 3"):
        RecallOf((1, 3), num_classes=3)
