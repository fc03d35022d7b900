"""Laws of every registered space; a new space is tested without a new test."""

import json
import os
import shutil
import subprocess
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import optuna_nas as nas
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces import SPACES
from optuna_nas.spaces.draws import random_trials
from optuna_nas.testing import SpaceConformance


class TestRegisteredSpaces(SpaceConformance):
    @pytest.fixture(params=sorted(SPACES))
    def space(self, request: pytest.FixtureRequest) -> Any:
        return SPACES[request.param]()

    @pytest.fixture
    def input_shape(self, space: Any) -> tuple[int, ...]:
        return getattr(space, "input_shape", (8,))


def test_every_registered_space_can_be_restricted() -> None:
    assert all(SPACES[name]().allowed is None for name in SPACES)


@pytest.mark.parametrize("name", sorted(SPACES))
def test_arguments_that_are_no_bounds_are_refused_by_name(name: str) -> None:
    for argument in fields(SPACES[name]):
        for wrong in (None, ("a", "a"), [[1]], [[]], {"a": 1}, object()):
            if wrong is not argument.default:
                with pytest.raises(SpaceError, match=argument.name):
                    SPACES[name](**{argument.name: wrong})


class TestNarrowCNN(SpaceConformance):
    """Strides of which only some fit the last blocks, and a residual in the first."""

    @pytest.fixture
    def space(self) -> nas.spaces.CNN:
        return nas.spaces.CNN(
            input_shape=(8, 5, 7), blocks=(1, 4), channels=(8, 12, 20), strides=(1, 2, 3)
        )

    @pytest.fixture
    def input_shape(self) -> tuple[int, ...]:
        return (8, 5, 7)


class TestSignals(SpaceConformance):
    """Signals (C, L) instead of images."""

    @pytest.fixture(params=["cnn", "hybrid", "macro", "mobilenet"])
    def space(self, request: pytest.FixtureRequest) -> Any:
        return SPACES[request.param](input_shape=(3, 37))

    @pytest.fixture
    def input_shape(self) -> tuple[int, ...]:
        return (3, 37)


class TestEncoder(SpaceConformance):
    """A Transformer of vectors that crops, with heads of a dimension of their own."""

    @pytest.fixture
    def space(self) -> nas.spaces.Transformer:
        return nas.spaces.Transformer(
            input_shape=(12, 5),
            decoder=False,
            contexts=(9, 12),
            head_dimensions=(4, 6),
            layers=(1, 3),
        )

    @pytest.fixture
    def input_shape(self) -> tuple[int, ...]:
        return (12, 5)


class TestDecoder(SpaceConformance):
    """A Transformer of token ids that reads windows."""

    @pytest.fixture
    def space(self) -> nas.spaces.Transformer:
        return nas.spaces.Transformer(input_shape=(36,), contexts=(12, 18, 36), layers=(1, 3))

    @pytest.fixture
    def input_shape(self) -> tuple[int, ...]:
        return (36,)


class TestWideImages(SpaceConformance):
    """Patches of an image that is not square."""

    @pytest.fixture
    def space(self) -> nas.spaces.ViT:
        return nas.spaces.ViT(input_shape=(1, 12, 20), patches=(2, 4), strides=(3,), layers=(1, 2))

    @pytest.fixture
    def input_shape(self) -> tuple[int, ...]:
        return (1, 12, 20)


class TestTabularMLP(SpaceConformance):
    """Columns of numbers and of categories."""

    @pytest.fixture
    def space(self) -> nas.spaces.MLP:
        return nas.spaces.MLP(categories={0: 3, 5: 4}, widths=(8, 16, 24))

    @pytest.fixture
    def input_shape(self) -> tuple[int, ...]:
        return (8,)


INTERPRETERS = ("python3.12", "python3.13")
DIGESTS = """
import json, sys
from optuna_nas.architecture import Architecture
json.dump([Architecture.from_json(text).digest for text in json.load(sys.stdin)], sys.stdout)
"""


@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_digests_are_those_of_other_versions_of_python(interpreter: str) -> None:
    """Reading and identifying networks needs nothing but Python, so any will do."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    paths = [shutil.which(interpreter), *map(str, pyenv.glob(f"*/bin/{interpreter}"))]
    runs = (p for p in paths if p and not subprocess.call([p, "-V"], stderr=subprocess.DEVNULL))
    path = next(runs, None)
    if path is None:  # no package of the system, so `.ci/run` cannot install one
        pytest.skip(f"{interpreter} is not installed")
    drawn = [
        SPACES[name]()(trial) for name in sorted(SPACES) for trial in islice(random_trials(0), 3)
    ]
    found = subprocess.run(
        [path, "-c", DIGESTS],
        input=json.dumps([network.to_json() for network in drawn]),
        env=os.environ | {"PYTHONPATH": str(Path(nas.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == [network.digest for network in drawn]
