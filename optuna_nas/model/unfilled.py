"""Building without weights: neither memory nor random numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import init
from torch.utils._device import DeviceContext

__all__ = ["Unfilled"]

_FILLING = {
    init.kaiming_uniform_,
    init.normal_,
    init.uniform_,
    Tensor.fill_,
    Tensor.normal_,
    Tensor.uniform_,
    Tensor.zero_,
}


class Unfilled(DeviceContext):
    """The meta device as a context, on which random initialisation is passed over.

    Otherwise torch spends half of the time of building on numbers that nobody can read.
    """

    def __init__(self) -> None:
        super().__init__(torch.device("meta"))

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in _FILLING:
            return args[0] if args else kwargs["tensor"]
        otherwise: Any = super().__torch_function__  # which torch leaves without types
        return otherwise(func, types, args, kwargs)
