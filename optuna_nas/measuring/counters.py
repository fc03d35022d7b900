"""Counters of energy that machines have; there is none that estimates."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Protocol

import torch

from optuna_nas.backends.require import require
from optuna_nas.exceptions import MeasurementError

__all__ = ["POWERCAP", "Counter", "counter_of"]

POWERCAP = "/sys/class/powercap"
"""Where Linux shows the counters of the processor."""


class Counter(Protocol):
    """A counter of energy.

    Attributes:
        name: What counts, for the record.
        step: Seconds from one reading to the next that differs, about.
    """

    name: str
    step: float

    def joules(self) -> float:
        """Energy since the counter was made, J."""


def counter_of(device: str, powercap: str = POWERCAP) -> Counter:
    """The counter that a device has.

    Args:
        device: `cpu`, or a CUDA device such as `cuda:0`.
        powercap: Folder of Linux's powercap zones.

    Raises:
        MeasurementError: It has none, or none that may be read; with what to do.
    """
    return NVML(device) if device.startswith("cuda") else RAPL(Path(powercap))


class RAPL:
    """Running average power limit: what all processor packages of the machine take.

    Cores, caches and the memory controller are counted, memory modules are not. The counters are
    in steps of tens of microjoules, renewed every millisecond, and begin again at zero within
    minutes or hours: two readings must not be further apart.

    Args:
        folder: Folder of Linux's powercap zones.

    Raises:
        MeasurementError: There are no counters, or they may not be read.

    Source: Linux, Documentation/power/powercap/powercap.rst; Khan et al. 2018,
    doi:10.1145/3177754.
    """

    step = 1e-3

    def __init__(self, folder: Path) -> None:
        self._packages = _packages(folder)
        self._ranges = [_number(zone / "max_energy_range_uj") for zone in self._packages]
        self._before = self._read()
        self._spent = 0
        self.name = f"RAPL of {len(self._packages)} processor packages"

    def joules(self) -> float:
        """Energy since the counter was made, J."""
        now = self._read()
        for before, after, most in zip(self._before, now, self._ranges, strict=True):
            self._spent += after - before if after >= before else after - before + most
        self._before = now
        return self._spent / 1e6

    def _read(self) -> list[int]:
        return [_number(zone / "energy_uj") for zone in self._packages]


class NVML:
    """What a whole NVIDIA GPU (Volta or later) takes, memory included, by its driver.

    The counter is in millijoules and renewed some ten times a second.

    Args:
        device: The device as PyTorch calls it, such as `cuda:0`.

    Raises:
        MeasurementError: nvidia-ml-py is not installed, or the GPU has no such counter.

    Source: NVIDIA Management Library, nvmlDeviceGetTotalEnergyConsumption.
    """

    name = "NVML"
    step = 0.1

    def __init__(self, device: str) -> None:
        require("nvml", "pynvml")
        self._library = importlib.import_module("pynvml")
        # CUDA may number or hide devices otherwise than the driver does.
        identity = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        try:
            self._library.nvmlInit()
            self._handle = self._library.nvmlDeviceGetHandleByUUID(identity)
            self._before = self._read()
        except self._library.NVMLError as error:
            raise MeasurementError(
                f"expected the driver to count the energy of {device} ({identity}; NVML, "
                f"nvmlDeviceGetTotalEnergyConsumption), got: {error}; GPUs before Volta and parts "
                "of a divided GPU have no counter, so measure on another device"
            ) from None

    def joules(self) -> float:
        """Energy since the counter was made, J."""
        return (self._read() - self._before) / 1e3

    def _read(self) -> int:
        return int(self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle))


def _packages(folder: Path) -> list[Path]:
    """Zones of whole packages; those inside them and the platform's count the same again."""
    zones = [zone for zone in folder.glob("intel-rapl:*") if re.search(r":\d+$", zone.name)]
    packages = [zone for zone in sorted(zones) if _name(zone).startswith("package")]
    if not packages:
        raise MeasurementError(
            f"expected a processor with a counter of energy (RAPL, {folder}/intel-rapl:*/"
            f"energy_uj), found {len(zones)} zones and no package; virtual machines rarely have "
            "one, and a kernel needs `modprobe intel_rapl_msr`. Measure on the machine itself, "
            "or search by latency or FLOPs: an estimate of energy would be no measurement"
        )
    return packages


def _name(zone: Path) -> str:
    return (zone / "name").read_text().strip()


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except PermissionError:
        everywhere = path.parent.parent / "intel-rapl:*" / path.name
        raise MeasurementError(
            f"expected to read the processor's counter of energy {path}, got permission denied; "
            f"only root may, until you allow it for this boot: sudo chmod a+r {everywhere}"
        ) from None
    except (OSError, ValueError) as error:
        raise MeasurementError(
            f"expected the processor's counter of energy in {path}, got: {error}; "
            "the counter of this machine does not work"
        ) from None
