"""Laws of every registered backend; a new backend is tested without a new test."""

from collections.abc import Callable

import pytest
import torch

from optuna_nas.backends import BACKENDS, Backend
from optuna_nas.exceptions import MeasurementError
from optuna_nas.testing import BackendConformance
from optuna_nas.testing.backends import CASES

DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
SLOW = {"aotinductor", "compile"}
ROUGH = {"onnxruntime-int8"}


def on_devices(names: set[str]) -> list[tuple[str, str]]:
    """Each backend with each device of this machine that it runs on."""
    return [
        (n, device) for n in sorted(names) for device in DEVICES if device in BACKENDS[n].devices
    ]


class Registered(BackendConformance):
    @pytest.fixture
    def backend(self, case: tuple[str, str], absent: Callable[[str], object]) -> Backend:
        backend = BACKENDS[case[0]]()
        try:
            backend.check(case[1])
        except MeasurementError as missing:  # an extra, or a C++ compiler
            absent(str(missing))
        return backend

    @pytest.fixture
    def device(self, case: tuple[str, str]) -> str:
        return case[1]


class TestBackends(Registered):
    @pytest.fixture(params=on_devices(set(BACKENDS) - SLOW - ROUGH), ids="-".join)
    def case(self, request: pytest.FixtureRequest) -> tuple[str, str]:
        return request.param


@pytest.mark.long
class TestCompilers(Registered):
    samples = 1
    cases = CASES[:1]

    @pytest.fixture(params=on_devices(SLOW), ids="-".join)
    def case(self, request: pytest.FixtureRequest) -> tuple[str, str]:
        return request.param


class TestInt8(Registered):
    tolerance = 0.2

    @pytest.fixture(params=on_devices(ROUGH), ids="-".join)
    def case(self, request: pytest.FixtureRequest) -> tuple[str, str]:
        return request.param
