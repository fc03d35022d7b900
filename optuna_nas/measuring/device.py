"""Which machine and which libraries a measurement came from."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

__all__ = ["fingerprint", "versions"]


@cache
def fingerprint(device: str = "cuda") -> dict[str, str | int]:
    """What must be equal for latencies to compare: processor, its clock, accelerator, driver.

    Args:
        device: The CUDA device that is named, where there is one; the current one by default.
    """
    cuda = torch.cuda.is_available()
    named = device if device.startswith("cuda") else "cuda"
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": os.cpu_count() or 0,
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "system": platform.system(),
        "accelerator": torch.cuda.get_device_name(named) if cuda else "none",
        "driver": _read("/sys/module/nvidia/version") if cuda else "none",
    }


@cache
def versions() -> dict[str, str]:
    """Versions of the libraries that a result depends on."""
    names = ("optuna-nas", "optuna", "torch", "lightning")
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return "unknown"
