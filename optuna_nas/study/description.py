"""Describing the parts of a Search as JSON, to store them with the study and to compare them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from types import CodeType, FunctionType
from typing import Any

from optuna_nas.architecture import Architecture
from optuna_nas.spaces.joint import network_parameters

__all__ = ["describe", "differences", "digest", "network_digest"]

PLAIN = (str, int, float, bool, type(None))
LIBRARIES = ("builtins", "functools", "lightning", "numpy", "optuna", "optuna_nas", "torch")
"""Code from these is described by name; the versions in use are in each trial's record."""


def describe(part: Any) -> Any:
    """Say in JSON what a part of a Search is, so that two equal descriptions do the same.

    Functions are described by their source, defaults, and the values, functions and classes of
    the user's own that they close over or find in their module; other objects by their class,
    its source where it is the user's own, and their plain attributes.
    """
    return _describe(part, ())


def digest(description: Any) -> str:
    """SHA-256 of a description, in hexadecimal."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def network_digest(drawn: Any, parameters: Mapping[str, Any], space: Any) -> str:
    """Identity of a network: that of its graph, or of its parameters where there is no graph.

    Args:
        drawn: What the space returned.
        parameters: Parameters of its trial.
        space: Description of the space.
    """
    if isinstance(drawn, Architecture):
        return drawn.digest
    return digest([sorted(network_parameters(parameters).items()), space])


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


def _describe(part: Any, inside: tuple[Any, ...]) -> Any:
    if isinstance(part, PLAIN):
        return part
    if any(part is outer for outer in inside):  # recursion: described where it began
        return getattr(part, "__qualname__", type(part).__qualname__)
    inside = (*inside, part)
    if isinstance(part, Mapping):
        return {str(key): _describe(value, inside) for key, value in part.items()}
    if isinstance(part, set | frozenset):
        return sorted((_describe(value, inside) for value in part), key=json.dumps)
    if isinstance(part, Sequence):
        return [_describe(value, inside) for value in part]
    if isinstance(part, functools.partial):
        called = {"args": part.args, "keywords": part.keywords}
        return {"partial": _describe(part.func, inside), **_describe(called, inside)}
    if isinstance(part, FunctionType):
        return _function(part, inside)
    if inspect.ismethod(part):
        return {"method": part.__name__, "of": _describe(part.__self__, inside)}
    if isinstance(part, type):
        return _class(part)
    return _class(type(part)) | _attributes(part, inside)


def _function(function: FunctionType, inside: tuple[Any, ...]) -> dict[str, Any]:
    described: dict[str, Any] = {"function": function.__qualname__}
    if not _own(function):
        return described
    described["source"] = _source(function)
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items()]
    used = inspect.getclosurevars(function)
    found = {**used.globals, **used.nonlocals}
    relevant = {k: v for k, v in found.items() if k in used.nonlocals or _relevant(v)}
    if relevant:
        described["uses"] = {k: _describe(v, inside) for k, v in sorted(relevant.items())}
    if defaults:
        described["defaults"] = _describe(defaults, inside)
    return described


def _relevant(value: Any) -> bool:
    """Whether a global that a function uses is a plain value, or the user's own code."""
    if isinstance(value, PLAIN):
        return True
    if isinstance(value, tuple | list | set | frozenset):
        return all(_relevant(item) for item in value)
    return isinstance(value, type | FunctionType) and _own(value)


def _own(code: type | FunctionType) -> bool:
    return (code.__module__ or "").partition(".")[0] not in LIBRARIES


def _class(cls: type) -> dict[str, Any]:
    own = {base.__qualname__: _source(base) for base in cls.__mro__ if _own(base)}
    return {"class": cls.__qualname__} | ({"source": own} if own else {})


def _source(part: type | FunctionType) -> str:
    try:
        text = textwrap.dedent(inspect.getsource(part))
    except (OSError, TypeError):  # made at a prompt
        text = repr(_instructions(part))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _instructions(part: Any) -> Any:
    if isinstance(part, type):
        own = (FunctionType, *PLAIN)
        members = {k: v for k, v in vars(part).items() if isinstance(v, own)}
        return [(name, _instructions(value)) for name, value in sorted(members.items())]
    if isinstance(part, FunctionType):
        return _instructions(part.__code__)
    if isinstance(part, CodeType):
        return [part.co_code.hex(), part.co_names, [_instructions(c) for c in part.co_consts]]
    return part


def _attributes(part: Any, inside: tuple[Any, ...]) -> dict[str, Any]:
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return {f.name: _describe(getattr(part, f.name), inside) for f in dataclasses.fields(part)}
    plain = {
        key.lstrip("_"): value
        for key, value in getattr(part, "__dict__", {}).items()
        if isinstance(value, (*PLAIN, tuple, list)) and key.lstrip("_") != "seed"
    }  # a seed that an object drew for itself differs every time
    return {key: _describe(value, inside) for key, value in sorted(plain.items())}


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
