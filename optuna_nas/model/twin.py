"""Copies of modules that have no weights yet, which cost less than constructing them again."""

from __future__ import annotations

from collections import OrderedDict
from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["twin"]

M = TypeVar("M", bound=nn.Module)

_PLAIN = frozenset({bool, int, float, str, torch.dtype, type(None)})
_CONTAINERS = frozenset({dict, OrderedDict, list, set})
_REGISTERED = ("_parameters", "_buffers", "_modules")


def twin(module: M, memo: dict[int, Any] | None = None) -> M:
    """Copy a module of the meta device, with parameters and buffers of its own.

    As `copy.deepcopy` does, at a third of the time: hooks, of which a new module has none, and
    plain values are not walked through.

    Args:
        module: The module; parts that it holds twice are held twice by the copy.
        memo: Copies made so far, by the `id` of their original.
    """
    memo = {} if memo is None else memo
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
        return twin(part, memo)
    if type(part) not in (nn.Parameter, Tensor):
        return deepcopy(part, memo)
    own = part.detach().clone()
    memo[id(part)] = nn.Parameter(own, part.requires_grad) if type(part) is nn.Parameter else own
    return memo[id(part)]
