"""What a block asks of the machine: the operators of one forward pass, and their sizes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from optuna_nas.model.configuration import Configuration

__all__ = ["work"]


def work(found: Iterable[Configuration]) -> dict[str, float]:
    """Sum, over block configurations, of what each operator does in one forward pass at batch 1.

    Returns:
        `<operator>.<quantity>` -> sum over its calls, with the quantities `calls`, `flops`,
        `elements` (of the activations that go in and out), `weights` (elements of parameters
        and buffers that go in) and `heavy_weights` (those of each call to the power of 1.5: the
        more there are, the fewer stay in the caches). Convolutions are told apart as plain,
        pointwise and depthwise.
    """
    total: dict[str, float] = defaultdict(float)
    for configuration in found:
        for name, amount in _work(configuration):
            total[name] += amount
    return dict(total)


@lru_cache(maxsize=1 << 16)
def _work(configuration: Configuration) -> tuple[tuple[str, float], ...]:
    """What one block does, seen on the meta device, where nothing is computed."""
    with torch.device("meta"), torch.no_grad():
        block = configuration.build().eval()
        inputs = block.example(1, *configuration.inputs)
        with _Recorder(block) as recorder:
            block(*inputs)
    return tuple((name, amount) for name, amount in recorder.seen.items() if amount)


class _Recorder(TorchDispatchMode):
    """Adds up the operators that are called inside it."""

    def __init__(self, block: nn.Module) -> None:
        TorchDispatchMode.__init__(self)
        self.own = {_storage(tensor) for tensor in (*block.parameters(), *block.buffers())}
        self.seen: dict[str, float] = defaultdict(float)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        flops = count(*args, **(kwargs or {}), out_val=result) if count else 0
        taken = list(_tensors(args))
        weights = sum(tensor.numel() for tensor in taken if _storage(tensor) in self.own)
        moved = sum(tensor.numel() for tensor in (*taken, *_tensors(result)))
        amounts = {
            "calls": 1,
            "flops": flops,
            "elements": moved - weights,
            "weights": weights,
            "heavy_weights": weights**1.5,
        }
        for quantity, amount in amounts.items():
            self.seen[f"{_name(func, args)}.{quantity}"] += amount
        return result


def _name(func: Any, args: tuple[Any, ...]) -> str:
    name: str = func.overloadpacket.__name__
    if name != "convolution":
        return name
    weight, groups = args[1], args[-1]
    if groups > 1:
        return f"depthwise_{name}"
    return f"pointwise_{name}" if weight[0, 0].numel() == 1 else name


def _tensors(values: Any) -> Iterator[Tensor]:
    """The tensors among some values, or in lists of them."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _tensors(value)


def _storage(tensor: Tensor) -> int:
    """Which memory a tensor is a view of; on the meta device too, where none is allocated."""
    return int(tensor.untyped_storage()._cdata)
