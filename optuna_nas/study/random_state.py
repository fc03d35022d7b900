"""Every random number generator that a training draws from, saved and restored."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities import CombinedLoader

__all__ = ["RandomState"]


class RandomState:
    """The generators of Python, numpy and torch, and those that training loaders hold."""

    def __init__(self) -> None:
        self._loaders: list[Any] = []

    def watch(self, loaders: Any, epoch: int) -> None:
        """Take note of the training loaders, and tell their samplers which epoch is next."""
        combined = loaders if isinstance(loaders, CombinedLoader) else CombinedLoader(loaders)
        self._loaders = combined.flattened
        for part in self._parts():  # Lightning tells them after workers have asked
            if hasattr(part, "set_epoch"):
                part.set_epoch(epoch)

    def state(self) -> dict[str, Any]:
        """The state of all of them."""
        return {
            "python": random.getstate(),
            "numpy": _plain(np.random.get_state(legacy=False)),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "loaders": [generator.get_state() for generator in self._generators()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Put all of them into a state saved before."""
        random.setstate(state["python"])
        np.random.set_state(_as_numpy(state["numpy"]))
        torch.set_rng_state(state["torch"])
        if len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda"])
        for generator, stored in zip(self._generators(), state["loaders"], strict=False):
            generator.set_state(stored)

    def _generators(self) -> list[torch.Generator]:
        found = [getattr(part, "generator", None) for part in self._parts()]
        return list({id(g): g for g in found if isinstance(g, torch.Generator)}.values())

    def _parts(self) -> Iterator[Any]:
        """The loaders and their samplers."""
        for loader in self._loaders:
            batches = getattr(loader, "batch_sampler", None)
            yield from (loader, getattr(loader, "sampler", None), batches)
            yield getattr(batches, "sampler", None)


def _plain(state: Any) -> dict[str, Any]:
    """Without arrays: torch reads none where it runs no code of the file's."""
    return {**state, "state": {**state["state"], "key": state["state"]["key"].tolist()}}


def _as_numpy(state: Any) -> dict[str, Any]:
    inner = state["state"]
    return {**state, "state": {**inner, "key": np.asarray(inner["key"], dtype=np.uint32)}}
