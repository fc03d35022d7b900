"""Descriptions tell searches apart that do different things, and only those."""

import functools

from optuna_nas import objectives, spaces
from optuna_nas.study.description import describe, differences, digest


def make(width: int):
    def space(trial):
        return width

    return space


def other(trial, depth=2):
    return depth


def test_equal_parts_have_equal_descriptions() -> None:
    assert describe(make(3)) == describe(make(3))
    assert describe(spaces.CNN()) == describe(spaces.CNN())
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_source_closure_defaults_and_arguments_count() -> None:
    assert describe(make(3)) != describe(make(4))
    assert describe(make(3)) != describe(other)
    assert describe(functools.partial(other, depth=3)) != describe(functools.partial(other))
    assert describe(spaces.CNN(kernels=(3,))) != describe(spaces.CNN())


def test_differences_name_the_place_and_both_values() -> None:
    before = describe([objectives.Accuracy(), objectives.Latency(max=8.0)])
    after = describe([objectives.Accuracy(), objectives.Latency(max=9.0)])
    assert list(differences(before, after)) == ["[1].max: 8.0 -> 9.0"]
    assert list(differences(before, before)) == []
    assert list(differences({"seed": 0}, {"seed": 0, "new": [1]})) == ["new: null -> [1]"]
