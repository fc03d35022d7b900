"""torch.compile.

Source: Ansel et al. 2024, "PyTorch 2", doi:10.1145/3620665.3640366.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FunctionType

import torch
from torch import Tensor, nn

from optuna_nas.backends.backend import Backend, Run, register
from optuna_nas.backends.compiler import expect_compiler

__all__ = ["Compile"]

WARM_UP = 3
"""CUDA graphs are recorded in the second run and replayed from the third."""


@register("compile")
class Compile(Backend):
    """`torch.compile` of the whole network as one graph, for the shapes of the example alone.

    On a GPU with `mode="reduce-overhead"`, which replays CUDA graphs.
    """

    def check(self, device: str = "cpu") -> None:
        super().check(device)
        expect_compiler()

    def prepare(self, network: nn.Module, example: Tensor, threads: int) -> Run:
        mode = "reduce-overhead" if example.is_cuda else "default"
        compiled = torch.compile(_apart(network), fullgraph=True, dynamic=False, mode=mode)
        for _ in range(WARM_UP):
            compiled(example)
        return partial(compiled, example)


def _apart(network: nn.Module) -> Callable[[Tensor], object]:
    """A function that runs the network, with a code object that no other network shares.

    torch.compile keeps what it has compiled with the code, compares the networks that share one
    at each call, and gives up after eight of them.
    """

    def forward(x: Tensor) -> object:
        return network(x)

    code = forward.__code__.replace(co_name=f"forward_{id(network)}")
    return FunctionType(code, forward.__globals__, closure=forward.__closure__)
