"""Describing the parts of a Search as JSON, to store them with the study and to compare them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FunctionType
from typing import Any

__all__ = ["describe", "differences", "digest"]


def describe(part: Any) -> Any:
    """Say in JSON what a part of a Search is, so that two equal descriptions do the same.

    Functions are described by their source, what they close over and their defaults; other
    objects by their class, its source where it is not from an installed library, and their plain
    attributes.
    """
    if part is None or isinstance(part, str | int | float | bool):
        return part
    if isinstance(part, Mapping):
        return {str(key): describe(value) for key, value in part.items()}
    if isinstance(part, Sequence | set | frozenset):
        return [describe(value) for value in part]
    if isinstance(part, functools.partial):
        return {
            "partial": describe(part.func),
            "args": describe(part.args),
            "keywords": describe(part.keywords),
        }
    if isinstance(part, FunctionType):
        return _function(part)
    if inspect.ismethod(part):
        return {"method": part.__name__, "of": describe(part.__self__)}
    if isinstance(part, type):
        return {"class": part.__qualname__} | _own_source(part)
    return {"class": type(part).__qualname__} | _own_source(type(part)) | _attributes(part)


def digest(description: Any) -> str:
    """SHA-256 of a description, in hexadecimal."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """One line for each place where two descriptions differ, such as `seed: 0 -> 1`."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            inner = f"{path}.{key}" if path else str(key)
            yield from differences(before.get(key), after.get(key), inner)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{path}[{i}]")
    elif before != after:
        yield f"{path}: {_short(before)} -> {_short(after)}"


def _function(function: FunctionType) -> dict[str, Any]:
    described: dict[str, Any] = {"function": function.__qualname__, "source": _source(function)}
    closed = inspect.getclosurevars(function).nonlocals
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items()]
    if closed:
        described["closure"] = {name: describe(value) for name, value in sorted(closed.items())}
    if defaults:
        described["defaults"] = describe(defaults)
    return described


def _own_source(cls: type) -> dict[str, str]:
    """Source of a class that the user wrote; an installed library is described by its names."""
    root = cls.__module__.partition(".")[0]
    if root in ("builtins", "lightning", "optuna", "optuna_nas", "torch"):
        return {}
    return {"source": _source(cls)}


def _source(part: type | Callable[..., Any]) -> str:
    try:
        text = textwrap.dedent(inspect.getsource(part))
    except (OSError, TypeError):
        code = getattr(part, "__code__", None)
        text = repr(part) if code is None else f"{code.co_code.hex()} {code.co_consts}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _attributes(part: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return {f.name: describe(getattr(part, f.name)) for f in dataclasses.fields(part)}
    plain = (str, int, float, bool, tuple, list)
    values = {k: v for k, v in getattr(part, "__dict__", {}).items() if isinstance(v, plain)}
    return {key.lstrip("_"): describe(value) for key, value in sorted(values.items())}


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
