"""Finalists stand for the whole front."""

import optuna
import pytest

from optuna_nas.exceptions import DescriptionError
from optuna_nas.finalists import select


def study_of(*points: tuple[float, float]) -> optuna.Study:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for point in points:
        study.add_trial(optuna.create_trial(values=list(point)))
    return study


def numbers(study: optuna.Study, count: int) -> list[int]:
    return [record.number for record in select(study, count)]


LINE = [(0.1 * i, 10.0 * i) for i in range(5)]


def test_it_takes_the_ends_first_and_then_what_lies_between() -> None:
    study = study_of(*LINE)
    assert numbers(study, 1) == [4]
    assert numbers(study, 2) == [4, 0]
    assert numbers(study, 3) == [4, 2, 0]


def test_the_scale_of_an_objective_does_not_count() -> None:
    scaled = study_of(*((a, 1e6 * b) for a, b in LINE))
    assert numbers(scaled, 3) == numbers(study_of(*LINE), 3)


def test_a_small_front_is_taken_whole_and_dominated_trials_never() -> None:
    study = study_of((0.9, 1.0), (0.5, 2.0), (0.4, 0.5))
    assert numbers(study, 5) == [0, 2]
    assert numbers(study_of(), 3) == []


def test_less_than_one_is_refused() -> None:
    with pytest.raises(DescriptionError, match="at least 1"):
        select(study_of(*LINE), 0)
