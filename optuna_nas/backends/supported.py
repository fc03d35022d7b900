"""Which blocks a backend can run."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from optuna_nas.backends.backend import Backend, find
from optuna_nas.blocks import BLOCKS, Block
from optuna_nas.blocks import find as find_block
from optuna_nas.blocks.usual import SHAPES, usual
from optuna_nas.exceptions import MeasurementError

__all__ = ["supported_blocks"]


def supported_blocks(
    backend: str, kinds: Iterable[str] | None = None, device: str = "cpu"
) -> tuple[str, ...]:
    """Kinds of blocks that a backend exports and runs, for the argument `allowed` of a space.

    Each is tried with every value of its `choices`, on images, signals and features where it takes
    them; one that the backend refuses in any way is left out. A kind takes seconds.

        CNN(allowed=backends.supported_blocks("onnxruntime", ("conv", "separable")))

    Args:
        backend: Name of a registered backend.
        kinds: Kinds of blocks to try; by default all that are registered.
        device: Where the backend shall run, such as `cpu` or `cuda:0`.

    Raises:
        DescriptionError: No backend has this name.
        SpaceError: No block has one of these kinds.
        MeasurementError: The backend is not installed, or not for this device.
    """
    runner = find(backend)()
    runner.check(device)
    blocks = {kind: find_block(kind) for kind in (BLOCKS if kinds is None else kinds)}
    threads = torch.get_num_threads()
    try:
        return tuple(kind for kind in blocks if _runs(runner, blocks[kind], device))
    finally:
        torch.set_num_threads(threads)


def _runs(backend: Backend, block: type[Block], device: str) -> bool:
    """Whether a backend runs a block as it usually is: all cases of one input as one network."""
    for shapes in SHAPES:
        cases = [case for case, taken in usual(block) if taken == shapes]
        if not cases:
            continue
        example = cases[0].example(1, *shapes)[0].to(device)
        try:
            with torch.inference_mode():
                backend.load(_Each(cases, len(shapes)).eval().to(device), example, threads=1)
        except MeasurementError:
            return False
    return True


class _Each(nn.Module):
    """Several blocks, each of which takes the one input for all of its own."""

    def __init__(self, blocks: list[Block], inputs: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.inputs = inputs

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(block(*[x] * self.inputs) for block in self.blocks)
