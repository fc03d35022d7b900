"""Counters of energy: packages summed, wrapped readings, and why there is none."""

import shutil
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from optuna_nas.exceptions import MeasurementError
from optuna_nas.measuring.counters import NVML, RAPL, counter_of

MOST = 262_143_328_850
"""Reading, in microjoules, after which a common counter begins again."""


def add_zone(folder: Path, zone: str, name: str, reading: int) -> Path:
    path = folder / zone
    path.mkdir(parents=True)
    (path / "name").write_text(f"{name}\n")
    (path / "max_energy_range_uj").write_text(f"{MOST}\n")
    (path / "energy_uj").write_text(f"{reading}\n")
    return path / "energy_uj"


@pytest.fixture
def readings(tmp_path: Path) -> list[Path]:
    """Two packages, with parts of the first and the platform around both."""
    for zone, name in (("0:0", "core"), ("0:1", "dram")):
        add_zone(tmp_path, f"intel-rapl:{zone}", name, 7_000_000)
    add_zone(tmp_path, "intel-rapl:2", "psys", 9_000_000)
    return [add_zone(tmp_path, f"intel-rapl:{i}", f"package-{i}", 1_000_000) for i in (0, 1)]


def test_packages_are_summed_and_nothing_is_counted_twice(readings, tmp_path) -> None:
    counter = RAPL(tmp_path)
    assert counter.joules() == 0
    readings[0].write_text("3500000")
    assert counter.joules() == 2.5
    readings[1].write_text("1500000")
    assert counter.joules() == 3.0
    assert "2 processor packages" in counter.name


def test_a_reading_that_wraps_goes_on(readings, tmp_path) -> None:
    readings[0].write_text(str(MOST - 400_000))
    counter = RAPL(tmp_path)
    readings[0].write_text("600000")
    assert counter.joules() == 1.0
    readings[0].write_text("700000")
    assert counter.joules() == 1.1


def test_a_machine_without_a_counter_says_which_was_looked_for(tmp_path) -> None:
    with pytest.raises(MeasurementError, match=r"RAPL.*found 0 zones.*virtual machines.*modprobe"):
        RAPL(tmp_path / "absent")
    add_zone(tmp_path, "intel-rapl:0", "psys", 0)
    with pytest.raises(MeasurementError, match="found 1 zones and no package"):
        RAPL(tmp_path)


def test_a_counter_that_may_not_be_read_says_how_to_allow_it(
    readings, tmp_path, monkeypatch
) -> None:
    def denied(path: Path) -> str:
        if path.name == "energy_uj":  # which root reads whatever its mode is
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path)

    plain = Path.read_text
    monkeypatch.setattr(Path, "read_text", denied)
    with pytest.raises(MeasurementError, match=r"permission denied.*sudo chmod a\+r"):
        RAPL(tmp_path)


def test_a_zone_without_a_reading_is_an_error_that_says_so(readings, tmp_path) -> None:
    shutil.rmtree(readings[0].parent)
    readings[0].parent.mkdir()
    (readings[0].parent / "name").write_text("package-0")
    with pytest.raises(MeasurementError, match="No such file"):
        RAPL(tmp_path)


class Driver(ModuleType):
    """What nvidia-ml-py offers, over a GPU whose counter reads what it is told."""

    def __init__(self, millijoules: int | None) -> None:
        super().__init__("pynvml")
        self.__spec__ = ModuleSpec("pynvml", None)
        self.millijoules = millijoules
        self.NVMLError = type("NVMLError", (Exception,), {})

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetHandleByUUID(self, identity: str) -> str:
        return identity

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        assert handle == "GPU-0123-ab"
        if self.millijoules is None:
            raise self.NVMLError("Not Supported")
        return self.millijoules


@pytest.fixture
def driver(monkeypatch) -> Driver:
    made = Driver(5_000)
    monkeypatch.setitem(sys.modules, "pynvml", made)
    properties = SimpleNamespace(uuid="0123-ab")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    return made


def test_a_gpu_is_found_by_its_identity_and_read_in_millijoules(driver) -> None:
    counter = counter_of("cuda:1")
    driver.millijoules = 7_500
    assert counter.joules() == 2.5
    assert counter.name == "NVML"


def test_a_gpu_without_a_counter_says_so(driver) -> None:
    driver.millijoules = None
    with pytest.raises(MeasurementError, match=r"GPU-0123-ab.*Not Supported.*Volta"):
        NVML("cuda:0")


def test_a_missing_library_prints_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MeasurementError, match=r'pip install "optuna-nas\[nvml\]"'):
        NVML("cuda:0")
