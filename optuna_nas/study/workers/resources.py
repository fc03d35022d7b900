"""How many processes run the trials of a search, where, and what of the machine each may use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from optuna_nas.exceptions import DescriptionError

__all__ = ["LAUNCHERS", "Workers"]

LAUNCHERS = ("local", "ray")


@dataclass(frozen=True)
class Workers:
    """Processes that run the trials of a search: one that crashes takes no other with it.

    Where there are GPUs each worker has one (`CUDA_VISIBLE_DEVICES`); elsewhere they share the
    cores: each has an equal part of them as threads, where the search does not say how many.

    Args:
        count: How many.
        per_device: How many may share a GPU.
        launcher: `local` for processes of this host, or `ray` for a Ray cluster, which then gives
            them their GPUs and threads; its machines must reach the storage.
        address: Of the Ray cluster, such as `auto`; by default one that is started here.

    Raises:
        DescriptionError: A number below 1, or no such launcher.
    """

    count: int
    per_device: int = 1
    launcher: str = "local"
    address: str | None = None

    def __post_init__(self) -> None:
        if self.launcher not in LAUNCHERS:
            raise DescriptionError(
                f"expected launcher to be one of {', '.join(LAUNCHERS)}, got {self.launcher!r}"
            )
        for name in ("count", "per_device"):
            if getattr(self, name) < 1:
                raise DescriptionError(f"expected {name} >= 1, got {getattr(self, name)}")

    def environments(
        self, trainer: Mapping[str, Any], threads: int | None
    ) -> list[dict[str, str]]:
        """Variables of each worker's environment: which GPU, and how many threads.

        Args:
            trainer: The search's arguments of the Trainer: what trains on the CPU has no GPU.
            threads: Threads that the search allows.

        Raises:
            DescriptionError: There are more workers than may share the GPUs.
        """
        each = threads or max(1, cores() // self.count)
        common = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(each)}
        found = [] if trainer.get("accelerator") == "cpu" else gpus()
        if not found:
            return [common] * self.count
        if self.count > len(found) * self.per_device:
            raise DescriptionError(
                f"expected at most {len(found) * self.per_device} workers for {len(found)} GPUs "
                f"with {self.per_device} on each, got {self.count}; let more share one: "
                f"--per-device {-(-self.count // len(found))}, or Workers(per_device=...)"
            )
        return [
            {**common, "CUDA_VISIBLE_DEVICES": found[number % len(found)]}
            for number in range(self.count)
        ]


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gpus() -> list[str]:
    """The GPUs that this process sees, as `CUDA_VISIBLE_DEVICES` names them."""
    count = torch.cuda.device_count()
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named[:count] if named else [str(number) for number in range(count)]
