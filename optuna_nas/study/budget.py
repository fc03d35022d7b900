"""How much training a network gets, at least and at most, and at which fidelity."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optuna_nas.exceptions import DescriptionError

__all__ = ["Budget"]

DURATIONS = ("epochs", "steps", "seconds")
CLIMBED = ("data", "resolution", "width")
FACTOR = 3
"""Ratio of the durations of two rungs, as in Hyperband."""


@dataclass(frozen=True)
class Budget:
    """Training given to a network: how long, on which share of the data, at which resolution.

    The duration is in epochs, optimiser steps or seconds of training. In steps or seconds, the
    first of them is what Lightning takes for an epoch: after each, networks are validated and
    their values reported. A full training ends at the last.

    `data`, `resolution` and `width` rise with the duration, geometrically from rung to rung (each
    three times as long as the one before), and are full up to the end from the last rung but one:
    what is compared was trained alike, and final values are those of the whole network on all
    data at full resolution.

    Args:
        epochs: `(first, last)`: epochs before the pruner may first judge a network, and epochs of
            a full training. One number trains every network that long. `(1, 9)` by default.
        steps: The same in optimiser steps; the last is a multiple of the first.
        seconds: The same in seconds of training, without validation.
        data: `(first, 1.0)`: share of the training data at the first rung, and at the end.
        resolution: `(first, last)`: longer side of the images at the first rung, in pixels, and
            in full. Networks get images (B, C, H, W) resized.
        width: `(first, 1.0)`: share of the channels, or features, that networks train and compute
            with at the first rung, and at the end. They are the leading ones, so that a wider
            rung goes on from what a narrower one has learned. Spaces return architectures.

    Raises:
        DescriptionError: Not `1 <= first <= last`, several durations, or nothing to climb.
    """

    epochs: int | tuple[int, int] | None = None
    steps: int | tuple[int, int] | None = None
    seconds: float | tuple[float, float] | None = None
    data: tuple[float, float] | None = None
    resolution: tuple[int, int] | None = None
    width: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        given = [name for name in DURATIONS if getattr(self, name) is not None]
        if len(given) > 1:
            raise DescriptionError(
                f"expected one of epochs, steps and seconds, got {' and '.join(given)}: "
                "each says how long a network is trained"
            )
        if not given:
            object.__setattr__(self, "epochs", (1, 9))
        first, last = self._duration
        if self.unit != "epochs" and not math.isclose(last / first, round(last / first)):
            raise DescriptionError(
                f"expected Budget({self.unit}=(first, last)) with a last that is a multiple of "
                f"the first, got {(first, last)}; networks are compared after each first"
            )
        _check_share("data", self.data, "networks are trained on all data in the end")
        _check_share("width", self.width, "networks are judged as wide as they are in the end")
        if self.resolution is not None:
            _pair("resolution", self.resolution, whole=True)
        climbed = [n for n in CLIMBED if getattr(self, n) is not None]
        if climbed and first == last:
            raise DescriptionError(
                f"expected {self.unit}=(first, last) with first < last beside {climbed[0]}, got "
                f"{getattr(self, self.unit)!r}: rungs go up in all of them together"
            )

    @property
    def unit(self) -> str:
        """What the duration is in: epochs, steps or seconds."""
        return next((name for name in DURATIONS if getattr(self, name) is not None), "epochs")

    @property
    def min_epochs(self) -> int:
        """Epochs before the first rung."""
        return int(self._duration[0]) if self.unit == "epochs" else 1

    @property
    def max_epochs(self) -> int:
        """Epochs of a full training."""
        first, last = self._duration
        return int(last) if self.unit == "epochs" else round(last / first)

    @property
    def length(self) -> float | None:
        """Steps or seconds of what counts as an epoch; None where that is one of the data."""
        return None if self.unit == "epochs" else self._duration[0]

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which `data`, `resolution` and `width` rise, the end among them."""
        first, last = self.min_epochs, self.max_epochs
        count = math.ceil(math.log(last / first, FACTOR) - 1e-9)
        return (*(first * FACTOR**k for k in range(count)), last)

    def share(self, epoch: int) -> float:
        """Share of the training data in an epoch, counted from 1."""
        return 1.0 if self.data is None else self._between(self.data, epoch)

    def scale(self, epoch: int) -> float:
        """Factor by which images are resized in an epoch, counted from 1."""
        if self.resolution is None:
            return 1.0
        return round(self._between(self.resolution, epoch)) / self.resolution[1]

    def breadth(self, epoch: int) -> float:
        """Share of a network's width in an epoch, counted from 1."""
        return 1.0 if self.width is None else self._between(self.width, epoch)

    def check_images(self, input_shape: Sequence[int]) -> None:
        """Hold the resolution to the data's.

        Raises:
            DescriptionError: The inputs are no images, or the last resolution is not theirs.
        """
        if self.resolution is None:
            return
        if len(input_shape) != 3:
            raise DescriptionError(
                "expected images of shape (C, H, W) beside Budget(resolution=...), got inputs of "
                f"shape {tuple(input_shape)}; leave resolution out"
            )
        side = max(input_shape[1:])
        if self.resolution[1] != side:
            raise DescriptionError(
                f"expected Budget(resolution=(first, {side})) for images of shape "
                f"{tuple(input_shape)}, got {self.resolution}: networks are judged at full "
                "resolution in the end"
            )

    def describe_training(self) -> dict[str, Any]:
        """What of it identifies a full training."""
        if self.unit == "epochs" and all(getattr(self, name) is None for name in CLIMBED):
            return {"epochs": self.max_epochs}
        climbed = {"rungs": list(self.rungs), "data": self.data, "resolution": self.resolution}
        if self.width is not None:
            climbed["width"] = self.width
        return {self.unit: list(self._duration), **climbed}

    @property
    def _duration(self) -> tuple[float, float]:
        value = getattr(self, self.unit)
        given = (value, value) if isinstance(value, int | float) else value
        return _pair(self.unit, given, whole=self.unit != "seconds")

    def _between(self, ends: tuple[float, float], epoch: int) -> float:
        """Value at the rung that an epoch leads to."""
        rungs = self.rungs
        rung = rungs[min(bisect_left(rungs, epoch), len(rungs) - 1)]
        climbed = math.log(rung / rungs[0]) / math.log(rungs[-1] / rungs[0])
        return float(ends[0] * (ends[1] / ends[0]) ** climbed)


def _pair(name: str, given: Any, whole: bool) -> tuple[float, float]:
    kinds = (int,) if whole else (int, float)
    listed = isinstance(given, tuple | list) and len(given) == 2
    if not listed or not all(type(value) in kinds for value in given):
        listed = False
    least = 1 if whole else 0
    if not listed or not (least <= given[0] <= given[1] < math.inf) or not given[0] > 0:
        alone = "; one number trains every network that long" if name in DURATIONS else ""
        numbers = "whole numbers with 1" if whole else "numbers with 0"
        raise DescriptionError(
            f"expected Budget({name}=(first, last)) of {numbers} {'<=' if whole else '<'} first "
            f"<= last, got {given!r}{alone}"
        )
    return given[0], given[1]


def _check_share(name: str, given: Any, why: str) -> None:
    if given is None:
        return
    first, last = _pair(name, given, whole=False)
    if last != 1:
        raise DescriptionError(
            f"expected Budget({name}=(first, 1.0)) with 0 < first <= 1, got {(first, last)}: {why}"
        )
