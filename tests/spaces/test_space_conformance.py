"""Laws of every registered space; a new space is tested without a new test."""

from typing import Any

import pytest

import optuna_nas as nas
from optuna_nas.spaces import SPACES
from optuna_nas.testing import SpaceConformance


class TestRegisteredSpaces(SpaceConformance):
    @pytest.fixture(params=sorted(SPACES))
    def space(self, request: pytest.FixtureRequest) -> Any:
        return SPACES[request.param]()

    @pytest.fixture
    def input_shape(self, space: Any) -> tuple[int, ...]:
        return getattr(space, "input_shape", (8,))


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
