"""The most memory that one forward pass holds; this runs in the measuring process."""

from __future__ import annotations

import os
from itertools import chain

import torch
from torch import Tensor, nn
from torch.autograd.profiler import profile

from optuna_nas.exceptions import MeasurementError
from optuna_nas.measuring.setup import Setup
from optuna_nas.measuring.turns import turn

__all__ = ["peak_bytes"]


def peak_bytes(network: nn.Module, example: Tensor, setup: Setup) -> dict[str, int]:
    """Run a network once, and say what it held.

    Args:
        network: The network.
        example: Its input (B, ...).
        setup: Where it runs and in which precision; always in eager PyTorch.

    Returns:
        Bytes of `weights`, buffers included, and of `activations`: the most that was held beside
        the weights at one time, the input included.

    Raises:
        MeasurementError: The device has too little memory, or says nothing of what it allocates.
    """
    with setup.inference(), turn():
        network, example = setup.place(network.eval()), setup.place(example)
        network(example)  # libraries choose their kernels, and allocate what they keep
        measure = _on_gpu if setup.device.startswith("cuda") else _on_cpu
        activations = measure(network, example)
    if activations < example.nbytes:
        raise MeasurementError(
            f"expected PyTorch to report at least the {example.nbytes} bytes of the input, got "
            f"{activations}; this build of PyTorch does not say what it allocates"
        )
    return {"weights": _held(network), "activations": activations}


def _on_cpu(network: nn.Module, example: Tensor) -> int:
    """Follow every allocation and release that PyTorch's allocator reports to its profiler."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # a line on stderr at each start and stop
    with profile(profile_memory=True) as profiler:
        network(example.clone())
    results = profiler.kineto_results
    events = [] if results is None else [e for e in results.events() if e.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def _on_gpu(network: nn.Module, example: Tensor) -> int:
    torch.cuda.synchronize(example.device)
    before = torch.cuda.memory_allocated(example.device)
    torch.cuda.reset_peak_memory_stats(example.device)
    network(example.clone())
    torch.cuda.synchronize(example.device)
    return torch.cuda.max_memory_allocated(example.device) - before


def _held(network: nn.Module) -> int:
    """Bytes of parameters and buffers; what several of them share counts once."""
    tensors = chain(network.parameters(), network.buffers())
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
