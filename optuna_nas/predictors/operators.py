"""What a block asks of the machine: the operators of one forward pass, and their sizes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from optuna_nas.predictors.configuration import Configuration

__all__ = ["work"]


def work(found: Iterable[Configuration]) -> dict[str, float]:
    """Sum, over block configurations, of what each operator does in one forward pass at batch 1.

    Returns:
        `<operator>.<quantity>` -> sum over its calls, with the quantities `calls`, `flops`,
        `elements` (of the first input and the outputs), `weights` (elements of all further
        inputs) and `heavy_weights` (those of each call to the power of 1.5: the more there are,
        the fewer stay in the caches). Convolutions are told apart as plain, pointwise and
        depthwise.
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
        inputs = [torch.empty(1, *shape) for shape in configuration.inputs]
        with _Recorder() as recorder:
            block(*inputs)
    return tuple((name, amount) for name, amount in recorder.seen.items() if amount)


class _Recorder(TorchDispatchMode):
    """Adds up the operators that are called inside it."""

    def __init__(self) -> None:
        TorchDispatchMode.__init__(self)
        self.seen: dict[str, float] = defaultdict(float)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        flops = count(*args, **(kwargs or {}), out_val=result) if count else 0
        taken, given = _sizes(args), _sizes(result)
        amounts = {
            "calls": 1,
            "flops": flops,
            "elements": sum(taken[:1]) + sum(given),
            "weights": sum(taken[1:]),
            "heavy_weights": sum(taken[1:]) ** 1.5,
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


def _sizes(values: Any) -> list[int]:
    """Elements of each tensor among some values, or in lists of them."""
    if isinstance(values, Tensor):
        return [values.numel()]
    if not isinstance(values, tuple | list):
        return []
    return [size for value in values for size in _sizes(value)]
