"""Looking at a search by gradients without leaving a trace in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch import LightningModule

from optuna_nas.supernet.differentiable.mixed import MixedNetwork

__all__ = ["undisturbed"]


@contextmanager
def undisturbed(network: MixedNetwork, pl_module: LightningModule) -> Iterator[None]:
    """Let a step be looked at: nothing is drawn or logged, and running statistics stay."""
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    silent = dict.fromkeys(("log", "log_dict"), lambda *_, **__: None)
    vars(pl_module).update(silent)
    network.drawing = False
    try:
        yield
    finally:
        network.drawing = True
        for name in silent:
            del vars(pl_module)[name]
        for name, buffer in network.named_buffers():
            buffer.copy_(buffers[name])
