"""Copies of modules that have no weights yet, which cost less than constructing them again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["layer", "twin"]

M = TypeVar("M", bound=nn.Module)

_PLAIN = frozenset({bool, int, float, str, torch.dtype, type(None)})
_CONTAINERS = frozenset({dict, OrderedDict, list, set})
_REGISTERED = ("_parameters", "_buffers", "_modules")


def layer(make: Callable[..., M], *args: Any, **kwargs: Any) -> M:
    """Construct a layer; on the meta device copy an equal one, constructed before.

    Args:
        make: Class of the layer.
        *args: Positional arguments of the class; hashable.
        **kwargs: Keyword arguments of the class; hashable.
    """
    if not torch.empty(0).is_meta:
        return make(*args, **kwargs)
    kept: M = _kept(make, torch.get_default_dtype(), *args, **kwargs)
    return twin(kept)


@lru_cache(maxsize=1024, typed=True)
def _kept(make: Callable[..., nn.Module], _: torch.dtype, *args: Any, **kwargs: Any) -> Any:
    return make(*args, **kwargs)


def twin(module: M) -> M:
    """Copy a module of the meta device, with parameters and buffers of its own.

    As `copy.deepcopy` does, at a third of the time: hooks, of which a new module has none, and
    plain values are not walked through.

    Args:
        module: The module; parts that it holds twice are held twice by the copy.
    """
    with torch._C.DisableTorchFunction():  # a device in force has a say in every call, slowly
        return _copied(module, {})


def _copied(module: M, memo: dict[int, Any]) -> M:
    """A copy; `memo` has the copies made so far, by the `id` of their original."""
    copy: M = object.__new__(type(module))
    memo[id(module)] = copy
    for name, value in vars(module).items():
        kind = type(value)
        if kind in _PLAIN or (kind is tuple and _PLAIN.issuperset(map(type, value))):
            copy.__dict__[name] = value
        elif kind in _CONTAINERS and not value:
            copy.__dict__[name] = kind()
        elif name in _REGISTERED:
            copy.__dict__[name] = {key: _own(part, memo) for key, part in value.items()}
        else:
            copy.__dict__[name] = deepcopy(value, memo)
    return copy


def _own(part: Any, memo: dict[int, Any]) -> Any:
    if part is None or id(part) in memo:
        return memo.get(id(part))
    if isinstance(part, nn.Module):
        return _copied(part, memo)
    if type(part) not in (nn.Parameter, Tensor):
        return deepcopy(part, memo)
    own = part.detach().clone()
    memo[id(part)] = nn.Parameter(own, part.requires_grad) if type(part) is nn.Parameter else own
    return memo[id(part)]
