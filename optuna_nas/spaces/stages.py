"""What spaces of stages share: where they halve the input, their widths, stem and head."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces.allowed import check_allowed, restrict
from optuna_nas.spaces.choice import (
    ask_option,
    ask_size,
    check_options,
    check_range,
    check_sizes,
    check_spatial,
    strided,
)

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["Stages"]


@dataclass(frozen=True, kw_only=True)
class Stages(abc.ABC):
    """A stem, stages of equal blocks, a head and a classifier, for images or signals.

    The first block of a stage may halve the input in all directions and changes the width; a
    block that adds its input does so wherever that holds. The stem (convolution 3x3) may halve
    the input too; the head (convolution 1x1) widens what the last stage returns. Where too few
    pixels are left, halving is not offered. What a network costs grows with the pixels, so large
    inputs want `downsample=(True,)` or a cap on FLOPs.

    Args:
        input_shape: Shape of one sample (C, H, W) or (C, L).
        stages: Number of stages.
        depths: Smallest and largest number of blocks in a stage.
        widths: Channels of a stage.
        downsample: Whether the stem, or a stage, halves the input.
        stem: Channels of the stem.
        head: Channels of the head.
        operators: Operators of a stage.
        allowed: Kinds of blocks that the space may use, such as those that a backend can run
            (`backends.supported_blocks`); by default all.
    """

    input_shape: tuple[int, ...] = (3, 32, 32)
    stages: int = 4
    depths: tuple[int, int] = (1, 4)
    widths: tuple[int, ...] = (32, 64, 96, 128)
    downsample: tuple[bool, ...] = (False, True)
    stem: tuple[int, ...] = (32,)
    head: tuple[int, ...] = (256,)
    operators: tuple[str, ...]
    allowed: tuple[str, ...] | None = None

    legal_operators: ClassVar[tuple[str, ...]]
    """Operators that a space of this class can choose from."""
    always: ClassVar[tuple[str, ...]] = ("conv",)
    """Kinds of blocks that every network has, beside the classifier."""
    fewest_pixels: ClassVar[int] = 1
    """Pixels of the longest side that halving must leave."""

    def __post_init__(self) -> None:
        for name, value in self._checked().items():
            object.__setattr__(self, name, value)
        self._check_pixels()

    def __call__(self, trial: BaseTrial) -> Architecture:
        """Draw an architecture: `stem`, `stage1_block1`, ..., `head` and `classify`."""
        pixels = max(self.input_shape[1:])
        stride = self._stride(trial, "stem", pixels)
        width = ask_size(trial, "stem.width", self.stem)
        nodes: list[tuple[str, str, dict[str, Any]]] = [
            ("stem", "conv", {"channels": width, "kernel": 3, "stride": stride})
        ]
        for number in range(1, self.stages + 1):
            pixels, incoming = strided(pixels, stride), width
            stage = f"stage{number}"
            stride = self._stride(trial, stage, pixels)
            width = ask_size(trial, f"{stage}.width", self.widths)
            nodes += self._stage(trial, number, incoming, width, stride)
        head = ask_size(trial, "head.width", self.head)
        nodes.append(("head", "conv", {"channels": head, "kernel": 1}))
        return Architecture.chain([*nodes, ("classify", "classify", {})])

    @abc.abstractmethod
    def _operator(self, trial: BaseTrial, number: int, width: int) -> tuple[str, dict[str, Any]]:
        """Draw the kind of a stage's blocks, and those arguments that no other stage decides."""

    def _place(self, kind: str, width: int, stride: int, incoming: int) -> dict[str, Any]:
        """Arguments of a block that come from its place."""
        residual = stride == 1 and incoming == width
        return {"channels": width, "stride": stride, "residual": residual}

    def _stage(
        self, trial: BaseTrial, number: int, incoming: int, width: int, stride: int
    ) -> list[tuple[str, str, dict[str, Any]]]:
        stage = f"stage{number}"
        depth = ask_size(trial, f"{stage}.depth", range(self.depths[0], self.depths[1] + 1))
        kind, args = self._operator(trial, number, width)
        nodes = []
        for block in range(1, depth + 1):
            place = self._place(kind, width, stride, incoming)
            nodes.append((f"{stage}_block{block}", kind, {**place, **args}))
            incoming, stride = width, 1
        return nodes

    def _stride(self, trial: BaseTrial, name: str, pixels: int) -> int:
        """Ask whether to halve the input, where enough pixels are left."""
        if pixels <= self.fewest_pixels:
            return 1
        return 2 if ask_option(trial, f"{name}.downsample", self.downsample) else 1

    def _checked(self) -> dict[str, Any]:
        """Legal values of all arguments, by name."""
        (stages,) = check_sizes("stages", (self.stages,))
        allowed = check_allowed(self.allowed)
        operators = check_options("operators", self.operators, self.legal_operators)
        return {
            "input_shape": check_spatial(self.input_shape),
            "stages": stages,
            "depths": check_range("depths", self.depths),
            "widths": check_sizes("widths", self.widths),
            "downsample": check_options("downsample", self.downsample, (False, True)),
            "stem": check_sizes("stem", self.stem),
            "head": check_sizes("head", self.head),
            "operators": restrict(operators, allowed, self.always),
            "allowed": allowed,
        }

    def _check_pixels(self) -> None:
        """With downsample=(True,) every place halves; the input must outlast them all."""
        halvings = 0 if False in self.downsample else self.stages + 1
        least = int(self.fewest_pixels * 2 ** (halvings - 1)) + 1
        if max(self.input_shape[1:]) < least:
            raise SpaceError(
                f"expected a side of at least {least} pixels, which {halvings} halvings need, got "
                f"input_shape={self.input_shape}; use fewer stages, or downsample=(False, True)"
            )
