"""Eager PyTorch without the cost of launching its kernels.

Source: PyTorch, torch.cuda.graph, and "CUDA Graphs" in the notes on CUDA semantics.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from optuna_nas.backends.backend import Backend, Run, register

__all__ = ["CUDAGraph"]

WARM_UP = 3


@register("cudagraph")
class CUDAGraph(Backend):
    """The kernels of eager PyTorch, captured once and replayed as one CUDA graph.

    For small networks, which a GPU finishes faster than Python launches their kernels.
    """

    devices = ("cuda",)
    references = "cudagraph"

    def prepare(self, network: nn.Module, example: Tensor, threads: int) -> Run:
        with torch.cuda.device(example.device):
            current, aside = torch.cuda.current_stream(), torch.cuda.Stream()
            aside.wait_stream(current)
            with torch.cuda.stream(aside):  # libraries choose their kernels outside the capture
                for _ in range(WARM_UP):
                    network(example)
            current.wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                output = network(example)
        return partial(_replay, graph, output, network, example)


def _replay(graph: torch.cuda.CUDAGraph, output: object, *_: object) -> object:
    """Replay a graph; the rest is what it reads, which must live as long."""
    graph.replay()
    return output
