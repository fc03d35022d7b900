"""Descriptions tell searches apart that do different things, and only those."""

import functools
import importlib.util
import linecache
import sys
from pathlib import Path

import pytest

from optuna_nas import objectives, samplers, spaces
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


MODULE = """
WIDTH = 3
CHOICES = ("a", "b")

def helper(x):
    return x + 1

class Base:
    rate = 0.1

class Recipe(Base):
    pass

def space(trial):
    return helper(WIDTH), CHOICES, Recipe

def recursive(n):
    return recursive(n - 1) if n else WIDTH
"""


def load(folder: Path, text: str):
    path = folder / "mine.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("mine", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # read the sources now: the file is written again
    return {name: describe(getattr(module, name)) for name in ("space", "Recipe", "recursive")}


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (("", ""), set()),
        (("# unrelated\n", ""), set()),
        (("WIDTH = 3", "WIDTH = 4"), {"space", "recursive"}),
        (('"a", "b"', '"a", "c"'), {"space"}),
        (("x + 1", "x + 2"), {"space"}),
        (("rate = 0.1", "rate = 0.2"), {"space", "Recipe"}),
    ],
)
def test_what_the_users_code_uses_counts(tmp_path, change, changed, monkeypatch) -> None:
    # A file of the same size and second would be taken for the one that was compiled before.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = load(tmp_path, MODULE)
    linecache.clearcache()
    after = load(tmp_path, MODULE.replace(*change) if change[0] else MODULE)
    assert {name for name in before if before[name] != after[name]} == changed


def test_a_seed_that_an_object_drew_for_itself_does_not_count() -> None:
    assert describe(samplers.NSGAII()) == describe(samplers.NSGAII())
    assert describe(samplers.NSGAII()) != describe(samplers.NSGAII(population_size=7))


def test_sets_have_no_order() -> None:
    assert describe({"a", "b", "c"}) == ["a", "b", "c"]
