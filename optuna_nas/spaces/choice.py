"""Ask a trial for one of several values, and check the bounds of a space.

Ordered sizes become integers, so that a sampler knows that 64 lies between 32 and 128; options
without an order become categories. A choice with a single value is not asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from optuna_nas.exceptions import SpaceError

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = [
    "ask_option",
    "ask_size",
    "check_any_sizes",
    "check_image",
    "check_odd",
    "check_options",
    "check_range",
    "check_sizes",
    "check_spatial",
    "listed",
    "strided",
]

_Size = TypeVar("_Size", int, float)
_Option = TypeVar("_Option", bool, str)
_Any = TypeVar("_Any")
_Value = TypeVar("_Value", int, float, bool, str)


def ask_size(trial: BaseTrial, name: str, sizes: Sequence[_Size]) -> _Size:
    """Ask for one of several ascending sizes.

    Evenly spaced integers are asked for as they are; of others the parameter `<name>_index` is
    the position.
    """
    if len(sizes) == 1:
        return sizes[0]
    low, step = sizes[0], sizes[1] - sizes[0]
    if isinstance(low, int) and list(sizes) == list(range(low, int(sizes[-1]) + 1, int(step))):
        return trial.suggest_int(name, low, int(sizes[-1]), step=int(step))
    return sizes[trial.suggest_int(f"{name}_index", 0, len(sizes) - 1)]


def ask_option(trial: BaseTrial, name: str, options: Sequence[_Option]) -> _Option:
    """Ask for one of several options that have no order."""
    if len(options) == 1:
        return options[0]
    return trial.suggest_categorical(name, options)


def check_sizes(
    argument: str, values: Iterable[_Size], low: float = 1, below: float = float("inf")
) -> tuple[_Size, ...]:
    """Return the values in ascending order.

    Raises:
        SpaceError: No value, a repeated one, or one outside low <= value < below.
    """
    sizes = _distinct(argument, values)
    if not all(_is_number(size, low) and low <= size < below for size in sizes):
        kind = "integers" if isinstance(low, int) else "numbers"
        raise SpaceError(f"expected {argument} of {kind} in [{low}, {below}), got {sizes}")
    return tuple(sorted(sizes))


def check_any_sizes(argument: str, values: Iterable[_Size]) -> tuple[_Size, ...]:
    """Return the values in ascending order; here there may be none.

    Raises:
        SpaceError: A repeated one, or one below 1.
    """
    given = listed(argument, values)
    return check_sizes(argument, given) if given else ()


def check_options(
    argument: str, values: Iterable[_Option], legal: Iterable[_Option]
) -> tuple[_Option, ...]:
    """Return the values as a tuple.

    Raises:
        SpaceError: No value, a repeated one, or one that is not legal.
    """
    options, allowed = _distinct(argument, values), tuple(legal)
    kinds = {type(option) for option in options}
    if any(option not in allowed for option in options) or kinds != {type(allowed[0])}:
        raise SpaceError(f"expected {argument} among {allowed}, got {options}")
    return options


def check_range(argument: str, values: Iterable[int]) -> tuple[int, int]:
    """Return a range (smallest, largest).

    Raises:
        SpaceError: Anything but two positive integers in ascending order.
    """
    bounds = listed(argument, values)
    legal = len(bounds) == 2 and all(_is_number(bound, 1) for bound in bounds)
    if not legal or not 1 <= bounds[0] <= bounds[1]:
        raise SpaceError(f"expected {argument}=(smallest, largest) of at least 1, got {bounds}")
    return bounds[0], bounds[1]


def check_odd(argument: str, values: Iterable[int]) -> tuple[int, ...]:
    """Return kernel sizes in ascending order.

    Raises:
        SpaceError: Not `check_sizes`, or an even one.
    """
    kernels = check_sizes(argument, values)
    if not all(kernel % 2 for kernel in kernels):
        raise SpaceError(f"expected {argument} to be odd, such as (3, 5, 7), got {kernels}")
    return kernels


def check_image(shape: Iterable[int]) -> tuple[int, ...]:
    """Return the shape of one image (C, H, W).

    Raises:
        SpaceError: Anything but three positive integers.
    """
    return _shape(shape, {3: "(C, H, W)"})


def check_spatial(shape: Iterable[int]) -> tuple[int, ...]:
    """Return the shape of one image (C, H, W), or of one signal (C, L).

    Raises:
        SpaceError: Anything but two or three positive integers.
    """
    return _shape(shape, {2: "(C, L)", 3: "(C, H, W)"})


def listed(argument: str, values: Iterable[_Any]) -> tuple[_Any, ...]:
    """Return values as a tuple, in which a number or a text stands alone.

    Raises:
        SpaceError: Neither.
    """
    if isinstance(values, str | int | float):
        return (cast("_Any", values),)
    try:
        return tuple(values)
    except TypeError:
        raise SpaceError(f"expected a tuple of values for {argument}, got {values!r}") from None


def strided(pixels: int, stride: int) -> int:
    """Pixels that a stride leaves, with 'same' padding."""
    return -(-pixels // stride)


def _shape(shape: Iterable[int], legal: dict[int, str]) -> tuple[int, ...]:
    """Return a shape of positive integers whose rank is legal."""
    sizes = listed("input_shape", shape)
    if len(sizes) not in legal or not all(_is_number(size, 1) and size >= 1 for size in sizes):
        raise SpaceError(f"expected input_shape={' or '.join(legal.values())}, got {sizes}")
    return sizes


def _distinct(argument: str, values: Iterable[_Value]) -> tuple[_Value, ...]:
    given = listed(argument, values)
    if not given or any(given.count(value) > 1 for value in given):
        raise SpaceError(f"expected {argument} to hold different values, got {given}")
    return given


def _is_number(value: object, like: float) -> bool:
    kinds = (int,) if isinstance(like, int) else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool)
